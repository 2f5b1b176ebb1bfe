/**
 * Feeds the policy state from the built-in stream `sallyport.policy` of every tunnel.
 *
 * 1. What comes is signed; a router can withhold it but not make it up. An envelope that does not verify is dropped and logged, the stream
 *    goes on: the state keeps what it has, and ages. What no honest router would pass on is told to `onLie`.
 * 2. The newest that any router passes on counts. What one repeats of an older state than the other's is no news, and no trouble.
 * 3. That a service is gone is a router's bare word. It counts when the signed head does not say otherwise, or when every router says it.
 */
import { PolicyError, type PolicyState } from "@sallyport/policy-engine";
import { Head, type SignedEnvelope } from "@sallyport/proto/policy";
import { PolicyInterest, PolicyUpdate } from "@sallyport/proto/tunnel";
import { readMessage, writeMessage, type TunnelStream } from "@sallyport/tunnel";
import { backOff } from "./back-off.ts";
import { openBuiltIn } from "./built-in-stream.ts";
import type { HeadWatch } from "./head-watch.ts";
import { failure, type ConnectorLog } from "./log.ts";
import type { OpenTunnel } from "./open-tunnel.ts";
import { PolicyWord } from "./policy-word.ts";

/** A router that passed on what it must not. */
export interface PolicyLie {
  readonly routerId: string;
  readonly error: PolicyError;
}

interface Source {
  readonly stop: AbortController;
  readonly word: PolicyWord;
  stream: TunnelStream | undefined;
  /** Services that this router says are gone. */
  readonly removed: Set<string>;
}

export class PolicyFeed implements Disposable {
  readonly #state: PolicyState;
  readonly #heads: HeadWatch;
  readonly #log: ConnectorLog;
  readonly #onLie: (lie: PolicyLie) => void;
  readonly #services = new Set<string>();
  readonly #sources = new Map<OpenTunnel, Source>();

  constructor(state: PolicyState, heads: HeadWatch, log: ConnectorLog, onLie: (lie: PolicyLie) => void) {
    this.#state = state;
    this.#heads = heads;
    this.#log = log;
    this.#onLie = onLie;
  }

  /** Asks for the slice of `service` from now on. */
  want(service: string): void {
    if (this.#services.has(service)) return;
    this.#services.add(service);
    for (const { stream } of this.#sources.values()) if (stream !== undefined) void this.#sendInterest(stream);
  }

  /** From now on this tunnel is a source. */
  attach(open: OpenTunnel): void {
    const stop = new AbortController();
    const source: Source = { stop, word: new PolicyWord(), stream: undefined, removed: new Set() };
    this.#sources.set(open, source);
    this.#heads.watch(open);
    void this.#follow(open, source);
  }

  /** Lets go of it, so that a tunnel that drains can end. */
  detach(open: OpenTunnel): void {
    this.#sources.get(open)?.stop.abort();
    this.#sources.delete(open);
    this.#heads.forget(open);
    this.#removeWhatAllSay();
  }

  [Symbol.dispose](): void {
    for (const { stop } of this.#sources.values()) stop.abort();
    this.#sources.clear();
  }

  async #follow(open: OpenTunnel, source: Source): Promise<void> {
    const { signal } = source.stop;
    let isOver = false;
    void open.tunnel.closed.then(() => (isOver = true));
    for (let failures = 0; !signal.aborted && !isOver; failures += 1) {
      try {
        await this.#readAll(open, source);
      } catch (error) {
        if (!signal.aborted && !isOver) this.#log.warn(failure(error), "policy stream broke");
      }
      await backOff(failures, signal).catch(() => undefined);
    }
  }

  async #readAll(open: OpenTunnel, source: Source): Promise<void> {
    const { signal } = source.stop;
    const stream = await openBuiltIn(open.tunnel, "sallyport.policy", signal);
    source.stream = stream;
    try {
      await this.#sendInterest(stream);
      for (;;) {
        const update = await readMessage(stream, PolicyUpdate, { signal });
        if (update === null) return;
        this.#take(update, open, source);
      }
    } finally {
      if (source.stream === stream) source.stream = undefined;
      stream.destroy();
    }
  }

  async #sendInterest(stream: TunnelStream): Promise<void> {
    await writeMessage(stream, PolicyInterest, { services: [...this.#services] }).catch((error: unknown) =>
      this.#log.debug(failure(error), "policy interest not sent"),
    );
  }

  #take({ update }: PolicyUpdate, open: OpenTunnel, source: Source): void {
    switch (update?.$case) {
      case "sliceRemoved":
        source.removed.add(update.value);
        this.#removeWhatAllSay();
        return;
      case "head":
        if (!this.#apply(update.value, update.$case, open, source)) return;
        this.#heads.take(open, Head.decode(update.value.payload));
        this.#removeWhatAllSay(); // It may list a slice no longer.
        return;
      case "slice":
      case "denyList":
        this.#apply(update.value, update.$case, open, source);
        return;
      case undefined:
        return;
    }
  }

  /** Whether the envelope is what policy signed, new or not. */
  #apply(
    envelope: SignedEnvelope,
    kind: "slice" | "denyList" | "head",
    { router }: OpenTunnel,
    { word }: Source,
  ): boolean {
    const routerId = router.identity.id.uri;
    try {
      for (const service of this.#state.apply(envelope).services) this.#isHere(service);
      word.isLie(kind, envelope);
      return true;
    } catch (error) {
      if (word.isLie(kind, envelope, error)) this.#onLie({ routerId, error });
      const isOld = error instanceof PolicyError && error.code === "REPLAYED";
      const facts = { ...failure(error), update: kind, router: routerId };
      if (isOld && this.#sources.size > 1) this.#log.debug(facts, "policy update is an older one"); // 2
      else this.#log.warn(facts, "policy update refused");
      return isOld;
    }
  }

  /** Who said that it was gone was early, or late. */
  #isHere(service: string): void {
    if (this.#state.protocolOf(service) === undefined) return;
    for (const { removed } of this.#sources.values()) removed.delete(service);
  }

  /** 3. */
  #removeWhatAllSay(): void {
    const sources = [...this.#sources.values()];
    for (const service of new Set(sources.flatMap(({ removed }) => [...removed]))) {
      const isListed = this.#state.protocolOf(service) !== undefined;
      if (!isListed || sources.every(({ removed }) => removed.has(service))) this.#state.removeSlice(service);
    }
  }
}
