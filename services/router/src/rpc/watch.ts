/**
 * Watch: what is there now, `synced`, then each change.
 *
 *   1. Changes are heard from before the snapshot is taken: none is lost between the two, and one that the snapshot shows already may come again.
 *   2. What waits for a watcher is bounded (`maxWatchBacklog`). A snapshot does not wait in that room: it is made as it is read.
 *   3. Figures do not pile up: a watcher that is slow gets fewer, each as of when it is read.
 */
import { WatchKind, type Link, type WatchEvent, type WatchRequest } from "@sallyport/proto/router";
import { RpcError, RpcStatus, type StreamHandler } from "@sallyport/service";
import { BusyMeter } from "../domain/busy-meter.ts";
import type { Change } from "../domain/change-feed.ts";
import type { RouterLimits } from "../limits.ts";
import { circuitMessage } from "./circuit-message.ts";
import { figuresMessage, type FiguresSources } from "./figures-message.ts";
import { hostGoneMessage, hostMessage } from "./host-message.ts";
import { invalid } from "./request-check.ts";
import { tunnelMessage } from "./tunnel-message.ts";
import { WatchQueue } from "./watch-queue.ts";

export interface WatchSources extends FiguresSources {
  /** Calls back after each change of the links. The answer ends it. */
  readonly onLinkChange: (listener: () => void) => () => void;
  readonly limits: Pick<RouterLimits, "maxWatchers" | "maxWatchBacklog">;
  /** Aborted when the process is to stop. */
  readonly signal: AbortSignal;
}

type Event = NonNullable<WatchEvent["event"]>;
type Kinds = ReadonlySet<WatchKind>;

const allKinds: Kinds = new Set([
  WatchKind.WATCH_KIND_TUNNELS,
  WatchKind.WATCH_KIND_CIRCUITS,
  WatchKind.WATCH_KIND_HOSTS,
  WatchKind.WATCH_KIND_LINKS,
  WatchKind.WATCH_KIND_FIGURES,
]);
const defaultFiguresEveryMs = 1_000;
const leastFiguresEveryMs = 100;
const mostFiguresEveryMs = 3_600_000;
const mostBusiest = 50;

export function watch(sources: WatchSources): StreamHandler<WatchRequest, WatchEvent> {
  let watchers = 0;
  return async function* follow(request, call) {
    const { kinds, figuresEveryMs, busiest } = checked(request);
    const { maxWatchers, maxWatchBacklog } = sources.limits;
    if (watchers >= maxWatchers) throw tooManyWatchers(maxWatchers);
    watchers += 1;
    const queue = new WatchQueue<() => Event | null>(maxWatchBacklog);
    const signal = AbortSignal.any([call.signal, sources.signal]);
    using follower = new Follower(sources, kinds, busiest, (event) => queue.push(event));
    try {
      follower.follow(figuresEveryMs); // 1
      for (const event of follower.snapshot()) yield { event };
      yield { event: { $case: "synced", value: {} } };
      for (;;) {
        const taken = await queue.take(signal);
        if (taken === null) return;
        if (taken === "overflow") throw overflow(maxWatchBacklog);
        for (const make of taken) {
          const event = make();
          if (event !== null) yield { event };
        }
      }
    } finally {
      watchers -= 1;
    }
  };
}

/** One watcher's view. */
class Follower implements Disposable {
  readonly #sources: WatchSources;
  readonly #kinds: Kinds;
  readonly #busiest: number;
  readonly #push: (event: () => Event | null) => void;
  readonly #meter = new BusyMeter();
  readonly #owned = new DisposableStack();
  #toldLinks: ReadonlyMap<string, Link> = new Map();
  #figuresWait = false;

  constructor(sources: WatchSources, kinds: Kinds, busiest: number, push: (event: () => Event | null) => void) {
    this.#sources = sources;
    this.#kinds = kinds;
    this.#busiest = busiest;
    this.#push = push;
  }

  follow(figuresEveryMs: number): void {
    const { router, onLinkChange } = this.#sources;
    this.#owned.defer(router.switchboard.changes.onChange((change) => this.#onChange(change)));
    if (this.#wants(WatchKind.WATCH_KIND_LINKS)) this.#owned.defer(onLinkChange(() => this.#onLinkChange()));
    if (!this.#wants(WatchKind.WATCH_KIND_FIGURES)) return;
    const timer = setInterval(() => this.#figuresDue(), figuresEveryMs);
    this.#owned.defer(() => clearInterval(timer));
  }

  /** 2 */
  *snapshot(): Generator<Event, void, void> {
    const { router, links } = this.#sources;
    const { tunnels, circuits, hosts } = router.switchboard;
    if (this.#wants(WatchKind.WATCH_KIND_TUNNELS)) {
      const moved = circuits.moved();
      const present = [...tunnels];
      for (const tunnel of present) yield { $case: "tunnel", value: tunnelMessage(tunnel, moved(tunnel)) };
    }
    if (this.#wants(WatchKind.WATCH_KIND_CIRCUITS)) {
      const present = [...circuits.values()];
      for (const circuit of present) yield { $case: "circuit", value: circuitMessage(circuit) };
    }
    if (this.#wants(WatchKind.WATCH_KIND_HOSTS))
      for (const entry of hosts.list()) yield { $case: "host", value: hostMessage(entry) };
    if (this.#wants(WatchKind.WATCH_KIND_LINKS)) {
      this.#toldLinks = byId(links());
      for (const value of this.#toldLinks.values()) yield { $case: "link", value };
    }
    if (this.#wants(WatchKind.WATCH_KIND_FIGURES)) yield this.#figures();
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #wants(kind: WatchKind): boolean {
    return this.#kinds.has(kind);
  }

  #onChange(change: Change): void {
    if (!this.#wants(kindOf(change))) return;
    const event = this.#eventOf(change);
    this.#push(() => event);
  }

  #eventOf(change: Change): Event {
    switch (change.kind) {
      case "tunnel": {
        const value = tunnelMessage(change.tunnel, { bytesIn: 0, bytesOut: 0 });
        return { $case: "tunnel", value };
      }
      case "tunnel-gone":
        return { $case: "tunnelGone", value: change.tunnel.tunnelId };
      case "circuit":
        return { $case: "circuit", value: circuitMessage(change.circuit) };
      case "circuit-gone":
        return { $case: "circuitGone", value: change.circuit.circuitId };
      case "host":
        return { $case: "host", value: hostMessage(change.entry) };
      case "host-gone":
        return { $case: "hostGone", value: hostGoneMessage(change.entry) };
    }
  }

  #onLinkChange(): void {
    const before = this.#toldLinks;
    const now = byId(this.#sources.links());
    this.#toldLinks = now;
    for (const [linkId, value] of now) {
      const known = before.get(linkId);
      if (known === undefined || known.state !== value.state || known.lastFailure !== value.lastFailure)
        this.#push(() => ({ $case: "link", value }));
    }
    for (const linkId of before.keys()) if (!now.has(linkId)) this.#push(() => ({ $case: "linkGone", value: linkId }));
  }

  /** 3 */
  #figuresDue(): void {
    if (this.#figuresWait) return;
    this.#figuresWait = true;
    this.#push(() => {
      this.#figuresWait = false;
      return this.#figures();
    });
  }

  #figures(): Event {
    const figures = figuresMessage(this.#sources);
    if (this.#busiest === 0) return { $case: "figures", value: figures };
    const busy = this.#meter.look(this.#sources.router.switchboard.circuits.values(), this.#busiest);
    const busiestCircuits = busy.circuits.map(({ circuit, bytesPerSecond }) => ({
      circuit: circuitMessage(circuit),
      bytesPerSecond,
    }));
    return { $case: "figures", value: { ...figures, busiestCircuits, busiestWorkloads: [...busy.workloads] } };
  }
}

function kindOf(change: Change): WatchKind {
  switch (change.kind) {
    case "tunnel":
    case "tunnel-gone":
      return WatchKind.WATCH_KIND_TUNNELS;
    case "circuit":
    case "circuit-gone":
      return WatchKind.WATCH_KIND_CIRCUITS;
    case "host":
    case "host-gone":
      return WatchKind.WATCH_KIND_HOSTS;
  }
}

function byId(links: readonly Link[]): ReadonlyMap<string, Link> {
  return new Map(links.map((link) => [link.linkId, link]));
}

function checked({ kinds, figuresEveryMs, busiest }: WatchRequest): {
  readonly kinds: Kinds;
  readonly figuresEveryMs: number;
  readonly busiest: number;
} {
  const everyMs = figuresEveryMs === 0 ? defaultFiguresEveryMs : figuresEveryMs;
  if (everyMs < leastFiguresEveryMs || everyMs > mostFiguresEveryMs) {
    const bounds = `between ${leastFiguresEveryMs} and ${mostFiguresEveryMs}`;
    throw invalid(
      "WATCH_INVALID",
      "figures_every_ms",
      `${everyMs} ms are not ${bounds}.`,
      `Choose a number ${bounds}.`,
    );
  }
  if (busiest > mostBusiest)
    throw invalid("WATCH_INVALID", "busiest", `At most ${mostBusiest} are told.`, `Choose 0 to ${mostBusiest}.`);
  const unknown = kinds.find((kind) => !allKinds.has(kind));
  if (unknown !== undefined)
    throw invalid(
      "WATCH_INVALID",
      "kinds",
      `There is no kind ${unknown}.`,
      "Name kinds of this version, or none for all.",
    );
  return { kinds: kinds.length === 0 ? allKinds : new Set(kinds), figuresEveryMs: everyMs, busiest };
}

function overflow(backlog: number): RpcError {
  return new RpcError({
    code: "WATCH_OVERFLOW",
    status: RpcStatus.RESOURCE_EXHAUSTED,
    message: `More than ${backlog} changes waited for this watcher.`,
    remedy: "Begin again, with fewer kinds or a faster reader.",
  });
}

function tooManyWatchers(most: number): RpcError {
  return new RpcError({
    code: "WATCHERS_EXCEEDED",
    status: RpcStatus.RESOURCE_EXHAUSTED,
    message: `This router has ${most} watchers already.`,
    remedy: "End another one, or ask GetFigures from time to time.",
  });
}
