/**
 * Keeps one tunnel to one of the profile's routers.
 *
 * 1. Routers are tried in turn; after each round without success there is a jittered pause.
 * 2. A tunnel that ends, or whose router drains, is replaced at once. The old one keeps what runs on it.
 * 3. Whoever waits for a tunnel is told at once when a router turns this identity away; the trying goes on, slower and slower.
 * 4. `refresh` (after a renewal) opens a fresh tunnel with the new certificate before the old one drains.
 */
import { WireCode } from "@sallyport/frame";
import type { Control } from "@sallyport/proto/tunnel";
import type { SvidSource } from "@sallyport/identity";
import { connectMtls, type Peer } from "@sallyport/mtls";
import { Tunnel, TunnelError, type ChannelEnd, type IncomingStream } from "@sallyport/tunnel";
import { ConnectorError } from "../errors.ts";
import { splitAddress } from "../profile/token.ts";
import { backOff } from "./back-off.ts";
import { failure, type ConnectorLog } from "./log.ts";

export interface OpenTunnel {
  readonly tunnel: Tunnel;
  /** As its certificate says. */
  readonly router: Peer;
  readonly address: string;
}

export interface TunnelKeeperOptions {
  readonly identity: SvidSource;
  /** `host:port`, read again before each round. */
  readonly routers: () => readonly string[];
  readonly log: ConnectorLog;
  readonly onOpen: (incoming: IncomingStream, over: OpenTunnel) => void;
  readonly onControl: (message: Control, over: OpenTunnel) => void;
  /** A new tunnel is up and is the one to use. */
  readonly onTunnel: (open: OpenTunnel) => void;
}

type State =
  | { readonly kind: "connecting"; readonly opened: PromiseWithResolvers<OpenTunnel> }
  | { readonly kind: "open"; readonly open: OpenTunnel; readonly replace: () => void }
  | { readonly kind: "closed" };

const alpn = "sallyport/1";
const software = "sallyport/0.1.0";
const helloTimeoutMs = 5_000;
/** Whoever is cut off comes back by a person's decision, and each attempt is an event on record. */
const turnedAwayMaxMs = 60_000;

export class TunnelKeeper implements AsyncDisposable {
  readonly #options: TunnelKeeperOptions;
  readonly #stop = new AbortController();
  readonly #tunnels = new Set<Tunnel>();
  readonly #running: Promise<void>;
  readonly #successors = new Set<(open: OpenTunnel) => void>();
  #state: State = connecting();
  #nextRouter = 0;
  #lastFailure: unknown;

  constructor(options: TunnelKeeperOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** The tunnel to use, as soon as there is one. Throws CLOSED, IDENTITY_REVOKED, or ROUTER_UNREACHABLE with the last failure when `signal` ends the wait. */
  async current(signal?: AbortSignal): Promise<OpenTunnel> {
    const state = this.#state;
    switch (state.kind) {
      case "open":
        return state.open;
      case "closed":
        throw closed();
      case "connecting":
        return await this.#wait(state.opened.promise, signal);
    }
  }

  get open(): OpenTunnel | undefined {
    return this.#state.kind === "open" ? this.#state.open : undefined;
  }

  /** The tunnel that replaces `previous`, asked for now if it is still the one. */
  async after(previous: OpenTunnel, signal: AbortSignal): Promise<OpenTunnel> {
    if (this.open !== previous) return await this.current(signal);
    this.refresh();
    const { promise, resolve } = Promise.withResolvers<OpenTunnel>();
    this.#successors.add(resolve);
    try {
      return await this.#wait(promise, signal);
    } finally {
      this.#successors.delete(resolve);
    }
  }

  /** Opens a fresh tunnel, then drains the present one. */
  refresh(): void {
    if (this.#state.kind === "open") this.#state.replace();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const state = this.#state;
    this.#state = { kind: "closed" };
    if (state.kind === "connecting") state.opened.reject(closed());
    this.#stop.abort(closed());
    await this.#running;
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.close()));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      const open = await this.#connectInTurn();
      if (open === undefined) {
        failures += 1;
        this.#tellWaitersOfRevocation();
        const pause = isTurnedAway(this.#lastFailure) ? { maxMs: turnedAwayMaxMs } : {};
        await backOff(failures, signal, pause).catch(() => undefined);
        continue;
      }
      failures = 0;
      await this.#use(open);
    }
  }

  /** Until the tunnel ends or has to be replaced. */
  async #use(open: OpenTunnel): Promise<void> {
    const replaced = Promise.withResolvers<void>();
    const previous = this.#state;
    if (previous.kind === "closed") return;
    this.#state = { kind: "open", open, replace: () => replaced.resolve() };
    this.#options.log.info({ router: open.router.identity.id.uri, address: open.address }, "tunnel open");
    this.#options.onTunnel(open);
    for (const resolve of this.#successors) resolve(open);
    if (previous.kind === "connecting") previous.opened.resolve(open);
    else previous.open.tunnel.drain();
    const end = await Promise.race([open.tunnel.closed, replaced.promise, aborted(this.#stop.signal)]);
    if (end === undefined || this.#isClosed()) return;
    this.#options.log.warn({ router: open.router.identity.id.uri, end: end.kind }, "tunnel lost");
    this.#state = connecting();
  }

  async #connectInTurn(): Promise<OpenTunnel | undefined> {
    const routers = this.#options.routers();
    for (let tried = 0; tried < routers.length && !this.#stop.signal.aborted; tried += 1) {
      const address = routers[this.#nextRouter % routers.length] ?? "";
      try {
        return await this.#connect(address);
      } catch (error) {
        this.#lastFailure = error;
        this.#nextRouter += 1;
        if (!this.#stop.signal.aborted) this.#options.log.warn({ address, ...failure(error) }, "router not reached");
      }
    }
    return undefined;
  }

  #tellWaitersOfRevocation(): void {
    if (this.#state.kind !== "connecting" || !isTurnedAway(this.#lastFailure)) return; // 3
    this.#state.opened.reject(revoked(this.#lastFailure));
    this.#state = connecting();
  }

  async #connect(address: string): Promise<OpenTunnel> {
    const { identity } = this.#options;
    const { signal } = this.#stop;
    const { socket, peer } = await connectMtls({
      carrier: splitAddress(address),
      identity,
      trust: identity.bundle(),
      alpn,
      expect: (who) => who.kind === "router",
      signal,
    });
    socket.setNoDelay(true);
    const opened: { open?: OpenTunnel } = {};
    const tunnel = new Tunnel(socket, {
      side: "workload",
      software,
      helloTimeoutMs,
      onOpen: (incoming) => opened.open && this.#options.onOpen(incoming, opened.open),
      onControl: (message) => opened.open && this.#options.onControl(message, opened.open),
      onGoaway: () => this.#onGoaway(tunnel),
    });
    const open: OpenTunnel = { tunnel, router: peer, address };
    opened.open = open;
    this.#tunnels.add(tunnel);
    void tunnel.closed.then(() => this.#tunnels.delete(tunnel));
    await tunnel.hello;
    return open;
  }

  /** The next round begins with another router. */
  #onGoaway(tunnel: Tunnel): void {
    if (this.#state.kind !== "open" || this.#state.open.tunnel !== tunnel) return;
    this.#nextRouter += 1;
    this.#state.replace();
  }

  #isClosed(): boolean {
    return this.#state.kind === "closed";
  }

  async #wait(opened: Promise<OpenTunnel>, signal: AbortSignal | undefined): Promise<OpenTunnel> {
    if (signal === undefined) return await opened;
    return await Promise.race([opened, aborted(signal).then(() => Promise.reject(this.#unreachable()))]);
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

function connecting(): State {
  const opened = Promise.withResolvers<OpenTunnel>();
  // Whoever waits has its own handler.
  opened.promise.catch(() => undefined);
  return { kind: "connecting", opened };
}

/** GOAWAY `revoked` in place of the router's hello. */
function isTurnedAway(failed: unknown): failed is TunnelError {
  return failed instanceof TunnelError && isGoaway(failed.cause) && failed.cause.code === WireCode.revoked;
}

function isGoaway(end: unknown): end is Extract<ChannelEnd, { readonly kind: "goaway" }> {
  return typeof end === "object" && end !== null && "kind" in end && end.kind === "goaway";
}

function revoked(cause: TunnelError): ConnectorError {
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

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
}
