/**
 * A workload's tunnels: up to two, to different routers, so that the end of one stops nothing new.
 *
 * 1. While no tunnel is open one keeper looks, and the other waits for it: a network of one router is not asked twice.
 * 2. A tunnel whose router drains takes nothing new. What feeds this workload from it goes on until there is another tunnel; then it is released.
 * 3. Whoever waits for a tunnel is told at once when no waiting will help: the identity is cut off, or the proxy wants a login.
 */
import type { Tunnel } from "@sallyport/tunnel";
import { ConnectorError } from "../errors.ts";
import type { ConnectorLog } from "./log.ts";
import type { OpenTunnel } from "./open-tunnel.ts";
import { isTurnedAway, TunnelKeeper, type Turn } from "./tunnel-keeper.ts";

export interface TunnelPairOptions {
  /** `host:port`, read again before each look. */
  readonly routers: () => readonly string[];
  readonly log: ConnectorLog;
  readonly connect: (
    address: string,
    isTaken: (router: string) => boolean,
    signal: AbortSignal,
  ) => Promise<OpenTunnel | "taken">;
  /** A tunnel is up. */
  readonly onTunnel: (open: OpenTunnel) => void;
  /** Nothing but the circuits on it is to use it any more, or it is over. */
  readonly onReleased: (open: OpenTunnel) => void;
  /** Orders tunnels by how willingly they are used. */
  readonly compare: (one: OpenTunnel, other: OpenTunnel) => number;
}

const keeperCount = 2;

export class TunnelPair implements AsyncDisposable {
  readonly #options: TunnelPairOptions;
  readonly #keepers: readonly TunnelKeeper[];
  readonly #usable = new Map<OpenTunnel, number>();
  readonly #retiring = new Set<OpenTunnel>();
  readonly #tunnels = new Set<Tunnel>();
  /** Of each keeper, the router it was last at. */
  readonly #lastRouters = new Map<number, string>();
  /** The keeper that looks for the first tunnel (1). */
  #first: number | undefined;
  #next: PromiseWithResolvers<OpenTunnel> = unheard();
  #lastFailure: unknown;
  /** When the last tunnel was lost, by `performance.now()`. */
  #lostAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: TunnelPairOptions) {
    this.#options = options;
    this.#keepers = Array.from({ length: keeperCount }, (_, index) => this.#keeper(index));
  }

  /** Tunnels to use, the best first. */
  get usable(): readonly OpenTunnel[] {
    return [...this.#usable.keys()].toSorted(this.#options.compare);
  }

  /**
   * The best tunnel that was not tried yet, as soon as there is one. Throws CLOSED, IDENTITY_REVOKED, PROXY_AUTH_REQUIRED, or ROUTER_UNREACHABLE
   * with the last failure when `signal` ends the wait.
   */
  async current(signal?: AbortSignal, tried: ReadonlySet<OpenTunnel> = new Set()): Promise<OpenTunnel> {
    for (;;) {
      if (this.#closed) throw closed();
      const open = this.usable.find((one) => !tried.has(one));
      if (open !== undefined) return open;
      await this.#wait(this.#next.promise, signal);
    }
  }

  /** Takes nothing new there; its keeper looks for another router. */
  retire(open: OpenTunnel): void {
    const index = this.#usable.get(open);
    if (index === undefined) return;
    this.#usable.delete(open);
    this.#lostAt = performance.now();
    this.#retiring.add(open);
    this.#releaseRetiring();
    this.#keepers[index]?.leave(open);
  }

  lostRouterWithin(ms: number): boolean {
    return performance.now() - this.#lostAt < ms;
  }

  /** Fresh tunnels with the present certificate, then the old ones are given up. */
  refresh(): void {
    for (const keeper of this.#keepers) keeper.refresh();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#next.reject(closed());
    await Promise.all(this.#keepers.map((keeper) => keeper[Symbol.asyncDispose]()));
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.close()));
  }

  #keeper(index: number): TunnelKeeper {
    const { routers, log, connect } = this.#options;
    return new TunnelKeeper({
      routers,
      startAt: index,
      log,
      connect: (address, signal) => connect(address, (router) => this.#isTaken(router, index), signal),
      turn: (signal) => this.#turn(index, signal),
      onOpen: (open) => this.#add(open, index),
      onLeft: (open) => this.retire(open),
      onFailed: (cause) => this.#onFailed(cause),
    });
  }

  /** 1. */
  async #turn(index: number, signal: AbortSignal): Promise<Turn> {
    for (;;) {
      const besides = this.#besides(index);
      if (besides !== undefined) {
        if (this.#first === index) this.#first = undefined;
        return { kind: "spare", besides };
      }
      this.#first ??= index;
      if (this.#first === index) return { kind: "first" };
      await this.#wait(this.#next.promise, signal).catch((error: unknown) => {
        if (signal.aborted) throw error;
      });
    }
  }

  #besides(index: number): OpenTunnel | undefined {
    return [...this.#usable].find(([, keeper]) => keeper !== index)?.[0];
  }

  #isTaken(router: string, index: number): boolean {
    return this.#besides(index)?.router.identity.id.uri === router;
  }

  #add(open: OpenTunnel, index: number): boolean {
    const router = open.router.identity.id.uri;
    if (this.#closed || this.#isTaken(router, index)) return false;
    if (this.#first === index) this.#first = undefined;
    this.#usable.set(open, index);
    this.#tunnels.add(open.tunnel);
    void open.tunnel.closed.then(() => this.#onEnded(open));
    this.#options.onTunnel(open);
    this.#releaseRetiring();
    this.#next.resolve(open);
    this.#next = unheard();
    const before = this.#lastRouters.get(index);
    this.#lastRouters.set(index, router);
    // The one that this keeper was at may be free for the others.
    if (before !== undefined && before !== router) for (const keeper of this.#keepers) keeper.hurry();
    return true;
  }

  #onEnded(open: OpenTunnel): void {
    this.#tunnels.delete(open.tunnel);
    if (this.#usable.has(open)) this.#lostAt = performance.now();
    if (this.#usable.delete(open) || this.#retiring.delete(open)) this.#options.onReleased(open);
  }

  /** 2. */
  #releaseRetiring(): void {
    if (this.#usable.size === 0) return;
    for (const open of this.#retiring) {
      this.#retiring.delete(open);
      this.#options.onReleased(open);
      open.tunnel.drain();
    }
  }

  /** 3. */
  #onFailed(cause: unknown): void {
    this.#lastFailure = cause;
    const final = isTurnedAway(cause) ? revoked(cause) : isProxyFault(cause) ? cause : undefined;
    if (final === undefined || this.#usable.size > 0) return;
    this.#next.reject(final);
    this.#next = unheard();
  }

  async #wait(opened: Promise<OpenTunnel>, signal: AbortSignal | undefined): Promise<OpenTunnel> {
    if (signal === undefined) return await opened;
    if (signal.aborted) throw this.#unreachable();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(this.#unreachable());
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([opened, promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #unreachable(): ConnectorError {
    const last = this.#lastFailure;
    return new ConnectorError({
      code: "ROUTER_UNREACHABLE",
      message: `No router could be reached (${this.#options.routers().join(", ")})${last instanceof Error ? `: ${last.message}` : "."}`,
      remedy: "Check that the network is up and that this machine may open outbound connections to one of them.",
      cause: last,
    });
  }
}

/** A promise that may be rejected before anybody waits: whoever waits has its own handler. */
function unheard(): PromiseWithResolvers<OpenTunnel> {
  const next = Promise.withResolvers<OpenTunnel>();
  next.promise.catch(() => undefined);
  return next;
}

/** Fixed by a person, not by waiting. */
function isProxyFault(cause: unknown): cause is ConnectorError {
  return cause instanceof ConnectorError && (cause.code === "PROXY_AUTH_REQUIRED" || cause.code === "PROXY_INVALID");
}

function revoked(cause: unknown): ConnectorError {
  return new ConnectorError({
    code: "IDENTITY_REVOKED",
    message: "The network has cut off this identity.",
    remedy: "Ask its administrator; once reinstated, enroll again with a new token.",
    cause,
  });
}

function closed(): ConnectorError {
  return new ConnectorError({ code: "CLOSED", message: "The connector is closed." });
}
