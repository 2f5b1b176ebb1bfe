/**
 * Feeds the policy state from the built-in stream `sallyport.policy` of the present tunnel.
 *
 * What comes is signed; a router can withhold it but not make it up. An envelope that does not verify is dropped and logged, the stream
 * goes on: the state keeps what it has, and ages.
 */
import type { PolicyState } from "@sallyport/policy-engine";
import { PolicyInterest, PolicyUpdate } from "@sallyport/proto/tunnel";
import { readMessage, writeMessage, type TunnelStream } from "@sallyport/tunnel";
import { backOff } from "./back-off.ts";
import { openBuiltIn } from "./built-in-stream.ts";
import { failure, type ConnectorLog } from "./log.ts";
import type { OpenTunnel } from "./tunnel-keeper.ts";

export class PolicyFeed implements Disposable {
  readonly #state: PolicyState;
  readonly #log: ConnectorLog;
  readonly #services = new Set<string>();
  readonly #stop = new AbortController();
  #stream: TunnelStream | undefined;
  #attachment = new AbortController();

  constructor(state: PolicyState, log: ConnectorLog) {
    this.#state = state;
    this.#log = log;
  }

  /** Asks for the slice of `service` from now on. */
  want(service: string): void {
    if (this.#services.has(service)) return;
    this.#services.add(service);
    if (this.#stream !== undefined) void this.#sendInterest(this.#stream);
  }

  /** From now on this tunnel is the source. */
  attach(open: OpenTunnel): void {
    this.#attachment.abort();
    this.#attachment = new AbortController();
    void this.#follow(open, AbortSignal.any([this.#attachment.signal, this.#stop.signal]));
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #follow(open: OpenTunnel, signal: AbortSignal): Promise<void> {
    let isOver = false;
    void open.tunnel.closed.then(() => (isOver = true));
    for (let failures = 0; !signal.aborted && !isOver; failures += 1) {
      try {
        await this.#readAll(open, signal);
      } catch (error) {
        if (!signal.aborted && !isOver) this.#log.warn(failure(error), "policy stream broke");
      }
      await backOff(failures, signal).catch(() => undefined);
    }
  }

  async #readAll(open: OpenTunnel, signal: AbortSignal): Promise<void> {
    const stream = await openBuiltIn(open.tunnel, "sallyport.policy", signal);
    this.#stream = stream;
    try {
      await this.#sendInterest(stream);
      for (;;) {
        const update = await readMessage(stream, PolicyUpdate, { signal });
        if (update === null) return;
        this.#apply(update);
      }
    } finally {
      if (this.#stream === stream) this.#stream = undefined;
      stream.destroy();
    }
  }

  async #sendInterest(stream: TunnelStream): Promise<void> {
    await writeMessage(stream, PolicyInterest, { services: [...this.#services] }).catch((error: unknown) =>
      this.#log.debug(failure(error), "policy interest not sent"),
    );
  }

  #apply({ update }: PolicyUpdate): void {
    try {
      if (update?.$case === "sliceRemoved") this.#state.removeSlice(update.value);
      else if (update !== undefined) this.#state.apply(update.value);
    } catch (error) {
      this.#log.warn({ ...failure(error), update: update?.$case }, "policy update refused");
    }
  }
}
