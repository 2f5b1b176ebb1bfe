/**
 * Keeps one tunnel, to a router that no other keeper has one to.
 *
 * 1. Routers are tried in turn; after each round without success there is a jittered pause.
 * 2. A tunnel that ends, or whose router drains, is replaced at once. The old one keeps what runs on it.
 * 3. `refresh` (after a renewal) opens a fresh tunnel with the new certificate before the old one is given up.
 * 4. While another keeper has a tunnel, this one looks quietly: no warnings, and ever more rarely where only the other's router answers,
 *    since each look there costs that router a handshake.
 */
import { WireCode } from "@sallyport/frame";
import { TunnelError, type ChannelEnd } from "@sallyport/tunnel";
import { backOff } from "./back-off.ts";
import { failure, type ConnectorLog } from "./log.ts";
import type { OpenTunnel } from "./open-tunnel.ts";

/** What a keeper looks for in its next round. */
export type Turn =
  /** No tunnel is open: any router will do. */
  | { readonly kind: "first" }
  /** Another router than the one that another keeper's tunnel leads to. */
  | { readonly kind: "spare"; readonly besides: OpenTunnel };

export interface TunnelKeeperOptions {
  /** `host:port`, read again before each round. */
  readonly routers: () => readonly string[];
  /** Where in `routers` to begin. */
  readonly startAt: number;
  readonly log: ConnectorLog;
  readonly connect: (address: string, signal: AbortSignal) => Promise<OpenTunnel | "taken">;
  /** Resolves when this keeper may look. */
  readonly turn: (signal: AbortSignal) => Promise<Turn>;
  /** A tunnel is up. False: another keeper has one to that router by now. */
  readonly onOpen: (open: OpenTunnel) => boolean;
  /** Nothing new shall go over it. */
  readonly onLeft: (open: OpenTunnel) => void;
  /** A round for the first tunnel found none. */
  readonly onFailed: (cause: unknown) => void;
}

type State =
  /** `previous` is in use until there is another (3). `hurry` ends a pause. */
  | { readonly kind: "looking"; readonly previous: OpenTunnel | undefined; readonly hurry: AbortController }
  | { readonly kind: "open"; readonly open: OpenTunnel; readonly replace: (how: Replacement) => void }
  | { readonly kind: "closed" };

type Replacement = "left" | "refreshed";

type Round =
  | { readonly kind: "found"; readonly open: OpenTunnel }
  | { readonly kind: "failed"; readonly cause: unknown; readonly taken: boolean };

/** Whoever is cut off comes back by a person's decision, and a look at a router that is taken costs it a handshake. */
const rareMs = 60_000;
/** Their pauses begin at a second, not at a tenth. */
const rareHeadStart = 3;

export class TunnelKeeper implements AsyncDisposable {
  readonly #options: TunnelKeeperOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #state: State = looking(undefined);
  #nextRouter: number;

  constructor(options: TunnelKeeperOptions) {
    this.#options = options;
    this.#nextRouter = options.startAt;
    this.#running = this.#run();
  }

  /** Opens a fresh tunnel, then gives up the present one. */
  refresh(): void {
    if (this.#state.kind === "open") this.#state.replace("refreshed");
    else this.hurry();
  }

  /** Looks for another router, since this one takes nothing new. */
  leave(open: OpenTunnel): void {
    if (this.#state.kind !== "open" || this.#state.open !== open) return;
    this.#nextRouter += 1;
    this.#state.replace("left");
  }

  /** Something changed: whoever pauses looks again now. */
  hurry(): void {
    if (this.#state.kind === "looking") this.#state.hurry.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const state = this.#state;
    this.#state = { kind: "closed" };
    this.#stop.abort();
    if (state.kind === "open") state.replace("left");
    await this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      const open = await this.#look();
      if (open === undefined) return;
      await this.#use(open);
    }
  }

  /** Undefined when it was closed. */
  async #look(): Promise<OpenTunnel | undefined> {
    const { signal } = this.#stop;
    for (let failures = 1; ; failures += 1) {
      const turn = await this.#options.turn(signal).catch(() => undefined);
      if (turn === undefined || signal.aborted) return undefined;
      const round = await this.#round(turn);
      if (round.kind === "found") return round.open;
      if (this.#state.kind !== "looking") return undefined;
      if (turn.kind === "first") this.#options.onFailed(round.cause);
      const isRare = round.taken || isTurnedAway(round.cause);
      const { hurry } = this.#state;
      const waits = AbortSignal.any([signal, hurry.signal]);
      const pause = isRare ? backOff(failures + rareHeadStart, waits, { maxMs: rareMs }) : backOff(failures, waits);
      await pause.catch(() => {
        failures = 0;
      });
      if (hurry.signal.aborted) this.#state = this.#isClosed() ? this.#state : looking(this.#state.previous);
    }
  }

  /** Until the tunnel ends or has to be replaced. */
  async #use(open: OpenTunnel): Promise<void> {
    const state = this.#state;
    if (state.kind !== "looking") return;
    const replaced = Promise.withResolvers<Replacement>();
    this.#state = { kind: "open", open, replace: replaced.resolve };
    const router = open.router.identity.id.uri;
    this.#options.log.info({ router, address: open.address }, "tunnel open");
    if (state.previous !== undefined) this.#options.onLeft(state.previous);
    const why = await Promise.race([open.tunnel.closed, replaced.promise]);
    if (this.#isClosed()) return;
    this.#state = looking(why === "refreshed" ? open : undefined);
    if (why === "left") this.#options.onLeft(open);
    else if (why !== "refreshed") this.#options.log.warn({ router, end: why.kind }, "tunnel lost");
  }

  async #round(turn: Turn): Promise<Round> {
    const candidates = candidatesOf(this.#options.routers(), turn);
    let round: Round = { kind: "failed", cause: undefined, taken: false };
    for (let tried = 0; tried < candidates.length && !this.#stop.signal.aborted; tried += 1) {
      const address = candidates[this.#nextRouter % candidates.length] ?? "";
      round = await this.#tryTwice(address, turn, round);
      if (round.kind === "found") return round;
      this.#nextRouter += 1;
    }
    return round;
  }

  /** Once more at once where a router says that it admits nobody: behind one address there may be several. */
  async #tryTwice(address: string, turn: Turn, before: Round): Promise<Round> {
    const round = await this.#try(address, turn, before);
    return round.kind === "failed" && isGoawayOf(round.cause, WireCode.unavailable)
      ? await this.#try(address, turn, round)
      : round;
  }

  async #try(address: string, turn: Turn, before: Round): Promise<Round> {
    const { connect, onOpen, log } = this.#options;
    try {
      const open = await connect(address, this.#stop.signal);
      if (open !== "taken" && onOpen(open)) return { kind: "found", open };
      if (open !== "taken") void open.tunnel.close();
      return { ...failed(before), taken: true };
    } catch (cause) {
      const facts = { address, ...failure(cause) };
      if (!this.#stop.signal.aborted && turn.kind === "first") log.warn(facts, "router not reached");
      else log.debug(facts, "no second router"); // 4
      return { ...failed(before), cause };
    }
  }

  #isClosed(): boolean {
    return this.#state.kind === "closed";
  }
}

function looking(previous: OpenTunnel | undefined): Extract<State, { kind: "looking" }> {
  return { kind: "looking", previous, hurry: new AbortController() };
}

function failed(before: Round): Extract<Round, { kind: "failed" }> {
  return before.kind === "failed" ? before : { kind: "failed", cause: undefined, taken: false };
}

/** The other keeper's address leads to its router, unless there is no other address to try. */
function candidatesOf(routers: readonly string[], turn: Turn): readonly string[] {
  if (turn.kind === "first") return routers;
  const others = routers.filter((address) => address !== turn.besides.address);
  return others.length > 0 ? others : routers;
}

/** GOAWAY `revoked` in place of the router's hello. */
export function isTurnedAway(cause: unknown): cause is TunnelError {
  return isGoawayOf(cause, WireCode.revoked);
}

function isGoawayOf(cause: unknown, code: number): boolean {
  return cause instanceof TunnelError && isGoaway(cause.cause) && cause.cause.code === code;
}

function isGoaway(end: unknown): end is Extract<ChannelEnd, { readonly kind: "goaway" }> {
  return typeof end === "object" && end !== null && "kind" in end && end.kind === "goaway";
}
