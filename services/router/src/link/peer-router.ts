/**
 * Another router, as this one knows it: where it is, the link to it, and the attempts to have one.
 *
 *   1. One router of a pair dials: the one whose SPIFFE ID is smaller. The other waits for it.
 *   2. A lost link is dialed again, at once and then ever more rarely, whether the bus lives or not; news of the router end the pause.
 *   3. A link ends with the certificates that made it, so a new one is there before: then the old one retires, and ends with its last stream.
 */
import { backoffPauses, pause } from "@sallyport/service";
import type { LinkTunnel } from "./link-tunnel.ts";

/** Seen from here. */
export type LinkState =
  | { readonly kind: "connecting"; readonly lastFailure: string }
  | { readonly kind: "up"; readonly link: LinkTunnel; readonly renewAtMs: number }
  /** It, or this router, takes no new streams; those that are open go on. */
  | { readonly kind: "draining"; readonly link: LinkTunnel };

export interface PeerRouterOptions {
  readonly routerId: string;
  /** Whether it is this router that dials (1). */
  readonly dials: boolean;
  readonly backoff: { readonly firstMs: number; readonly maxMs: number };
  /** Resolves when `up` was called for a new link. Rejects with why there is none. */
  readonly connect: (address: string, signal: AbortSignal) => Promise<void>;
  /** Of this router's own certificate, milliseconds since 1970. */
  readonly ownNotAfter: () => number;
  readonly onChange: () => void;
}

/** A link is renewed when so much of what is left of its certificates has passed. */
const renewAfter = 0.75;
const minRenewMs = 1_000;
/** A link that ended sooner counts as a failed attempt: its router takes links and then ends them. */
const stableMs = 5_000;

export class PeerRouter {
  readonly routerId: string;
  readonly #options: PeerRouterOptions;
  readonly #stop = new AbortController();
  /** Links that gave their place to a newer one and still carry streams. */
  readonly #retired = new Set<LinkTunnel>();
  #address = "";
  #epoch = 0;
  #state: LinkState = { kind: "connecting", lastFailure: "" };
  #sinceUnixMs = Date.now();
  #heardOfAtMs = performance.now();
  #upAtMs = 0;
  #wake: () => void = () => undefined;

  constructor(options: PeerRouterOptions) {
    this.#options = options;
    this.routerId = options.routerId;
    if (options.dials) void this.#keepDialing(this.#stop.signal);
  }

  get address(): string {
    return this.#address;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Of the state. */
  get sinceUnixMs(): number {
    return this.#sinceUnixMs;
  }

  /** Every link to it, retired ones too. */
  get links(): readonly LinkTunnel[] {
    return this.#state.kind === "connecting" ? [...this.#retired] : [this.#state.link, ...this.#retired];
  }

  /** For how long nothing was heard of it, neither over a link nor by the bus. */
  silentMs(): number {
    return this.links.length > 0 ? 0 : performance.now() - this.#heardOfAtMs;
  }

  /** 2 */
  heardOf(address: string, epoch: number): void {
    const isNews = address !== this.#address || epoch !== this.#epoch;
    this.#address = address;
    this.#epoch = epoch;
    this.#heardOfAtMs = performance.now();
    if (!isNews) return;
    // It began anew: the link may not have noticed yet that nobody is at its other end.
    if (this.#state.kind === "up" && this.#state.link.routerEpoch !== epoch)
      this.#state = { ...this.#state, renewAtMs: performance.now() };
    this.#wake();
  }

  /** What stood in the way may be gone: tries now. */
  tryNow(): void {
    this.#wake();
  }

  /** 3 */
  up(link: LinkTunnel): void {
    const before = this.#state;
    const lifeMs = Math.min(link.peer.notAfter.getTime(), this.#options.ownNotAfter()) - Date.now();
    const renewAtMs = performance.now() + Math.max(minRenewMs, lifeMs * renewAfter);
    this.#upAtMs = performance.now();
    this.#set({ kind: "up", link, renewAtMs });
    if (before.kind === "connecting") return;
    this.#retired.add(before.link);
    if (before.kind === "up" && before.link.routerEpoch !== link.routerEpoch) before.link.supersede();
    else before.link.retire();
  }

  draining(link: LinkTunnel): void {
    if (this.#state.kind !== "up" || this.#state.link !== link) return;
    this.#set({ kind: "draining", link });
    this.#wake();
  }

  over(link: LinkTunnel, reason: string): void {
    this.#heardOfAtMs = performance.now();
    this.#retired.delete(link);
    if (this.#state.kind === "connecting" || this.#state.link !== link) return;
    this.#set({ kind: "connecting", lastFailure: reason });
    this.#wake();
  }

  /** Dials no more. Links stay as they are. */
  forget(): void {
    this.#stop.abort(new Error("This router is no longer wanted."));
  }

  async #keepDialing(signal: AbortSignal): Promise<void> {
    let pauses = backoffPauses(this.#options.backoff);
    while (!signal.aborted) {
      await this.#untilWanted(signal);
      try {
        await this.#options.connect(this.#address, signal);
        await this.#untilWanted(signal);
        if (performance.now() - this.#upAtMs > stableMs) pauses = backoffPauses(this.#options.backoff);
        else await this.#pause(pauses.next().value, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (this.#state.kind === "connecting") this.#set({ kind: "connecting", lastFailure: messageOf(error) });
        await this.#pause(pauses.next().value, signal);
      }
    }
  }

  /** Resolves when a link should be dialed. */
  async #untilWanted(signal: AbortSignal): Promise<void> {
    for (;;) {
      const waitMs = this.#address === "" ? maxPauseMs : this.#untilRenewalMs();
      if (signal.aborted || waitMs <= 0) return;
      await this.#pause(waitMs, signal);
    }
  }

  #untilRenewalMs(): number {
    return this.#state.kind === "up" ? this.#state.renewAtMs - performance.now() : 0;
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort(new Error("woken"));
    await pause(Math.min(ms, maxPauseMs), AbortSignal.any([signal, woken.signal])).catch(() => undefined);
  }

  #set(state: LinkState): void {
    if (state.kind !== this.#state.kind) this.#sinceUnixMs = Date.now();
    this.#state = state;
    this.#options.onChange();
  }
}

/** Time is looked at this often, so that a machine that slept renews soon after it wakes. */
const maxPauseMs = 15_000;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
