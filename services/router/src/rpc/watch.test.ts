import { Link, LinkState, WatchKind, WatchRequest, type WatchEvent } from "@sallyport/proto/router";
import { expect, test } from "vitest";
import type { RouterLimits } from "../limits.ts";
import { adminCall } from "../testing/admin-call.ts";
import { RouterNetwork } from "../testing/router-network.ts";
import { watch, type WatchSources } from "./watch.ts";

type Event = NonNullable<WatchEvent["event"]>;

/** A watcher as the gRPC server drives it: the next message is asked for when the last one has left. */
class Watcher {
  readonly #stop = new AbortController();
  readonly #events: AsyncIterator<WatchEvent>;

  private constructor(events: (signal: AbortSignal) => AsyncIterable<WatchEvent>) {
    this.#events = events(this.#stop.signal)[Symbol.asyncIterator]();
  }

  static async of(handler: ReturnType<typeof watch>, network: RouterNetwork, request: WatchRequest): Promise<Watcher> {
    const call = await adminCall(network.authority);
    return new Watcher((signal) => handler(request, { ...call, signal }));
  }

  async next(): Promise<Event | undefined> {
    const { value, done } = await this.#events.next();
    return done === true ? undefined : value.event;
  }

  /** Up to `synced`. */
  async snapshot(): Promise<readonly Event[]> {
    const events: Event[] = [];
    for (;;) {
      const event = await this.next();
      if (event === undefined || event.$case === "synced") return events;
      events.push(event);
    }
  }

  stop(): void {
    this.#stop.abort();
  }
}

function handlerOf(network: RouterNetwork, change: Partial<WatchSources> = {}): ReturnType<typeof watch> {
  const limits: Pick<RouterLimits, "maxWatchers" | "maxWatchBacklog"> = { maxWatchers: 2, maxWatchBacklog: 50 };
  return watch({
    router: network.router,
    links: () => [],
    onLinkChange: () => () => undefined,
    loopDelay: { p99Ms: 1.5 },
    routerId: "spiffe://sallyport.local/router/1",
    limits,
    signal: new AbortController().signal,
    ...change,
  });
}

function only(...kinds: readonly WatchKind[]): WatchRequest {
  return WatchRequest.create({ kinds: [...kinds] });
}

const dataPlane = [
  WatchKind.WATCH_KIND_TUNNELS,
  WatchKind.WATCH_KIND_CIRCUITS,
  WatchKind.WATCH_KIND_HOSTS,
  WatchKind.WATCH_KIND_LINKS,
];

test("a watcher gets what is there, `synced`, and then what comes and goes, in the order in which it happens", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const watcher = await Watcher.of(handlerOf(network), network, only(...dataPlane));
  expect(await watcher.snapshot()).toMatchObject([
    { $case: "tunnel", value: { spiffeId: host.id.uri, streams: expect.any(Number) } },
    { $case: "host", value: { service: "files", spiffeId: host.id.uri } },
  ]);
  const dialer = await network.connect("agent");
  expect(await watcher.next()).toMatchObject({ $case: "tunnel", value: { spiffeId: dialer.id.uri } });
  const stream = await network.circuit(dialer, "files");
  const opened = await watcher.next();
  expect(opened).toMatchObject({ $case: "circuit", value: { service: "files", dialerId: dialer.id.uri } });
  stream.resume().end();
  (await host.next()).resume().end();
  const circuitId = opened?.$case === "circuit" ? opened.value.circuitId : "";
  expect(await watcher.next()).toEqual({ $case: "circuitGone", value: circuitId });
  host.tunnel.abort(0);
  const [hostGone, tunnelGone] = [await watcher.next(), await watcher.next()];
  expect(hostGone).toMatchObject({ $case: "hostGone", value: { service: "files", spiffeId: host.id.uri } });
  expect(tunnelGone?.$case).toBe("tunnelGone");
  watcher.stop();
  expect(await watcher.next()).toBe(undefined);
});

test("only the kinds that were asked for come", async () => {
  await using network = await RouterNetwork.start();
  const watcher = await Watcher.of(handlerOf(network), network, only(WatchKind.WATCH_KIND_CIRCUITS));
  expect(await watcher.snapshot()).toEqual([]);
  await network.host("shelf", ["files"]);
  await network.circuit(await network.connect("agent"), "files");
  expect((await watcher.next())?.$case).toBe("circuit");
  watcher.stop();
});

test("figures come at once and then at their interval, with what moved most between two of them", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  (await host.next()).resume();
  const request = { ...only(WatchKind.WATCH_KIND_FIGURES), figuresEveryMs: 100, busiest: 5 };
  const watcher = await Watcher.of(handlerOf(network), network, request);
  expect(await watcher.snapshot()).toMatchObject([
    {
      $case: "figures",
      value: {
        tunnels: 2,
        circuits: 1,
        hosts: 1,
        circuitsOpened: 1,
        tunnelsOpened: 2,
        eventLoopDelayP99Ms: 1.5,
        busiestCircuits: [],
      },
    },
  ]);
  await new Promise<void>((resolve) => stream.write(Buffer.alloc(50_000), () => resolve()));
  await expect
    .poll(async () => {
      const event = await watcher.next();
      return event?.$case === "figures" ? event.value : null;
    })
    .toMatchObject({
      bytesForwarded: 50_000,
      busiestCircuits: [{ circuit: { service: "files" }, bytesPerSecond: expect.any(Number) }],
      busiestWorkloads: [{ circuits: 1 }, { circuits: 1 }],
    });
  watcher.stop();
});

test("maxWatchBacklog: a watcher that does not keep up is ended with WATCH_OVERFLOW, and its place is free", async () => {
  await using network = await RouterNetwork.start();
  await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const handler = handlerOf(network, { limits: { maxWatchers: 1, maxWatchBacklog: 5 } });
  const watcher = await Watcher.of(handler, network, only(WatchKind.WATCH_KIND_CIRCUITS));
  await watcher.snapshot();
  for (let i = 0; i < 6; i += 1) await network.circuit(dialer, "files");
  await expect(watcher.next()).rejects.toMatchObject({ code: "WATCH_OVERFLOW" });
  const again = await Watcher.of(handler, network, only(WatchKind.WATCH_KIND_CIRCUITS));
  expect(await again.snapshot()).toHaveLength(6);
  again.stop();
});

test("maxWatchers: one more than that is refused, until one ends", async () => {
  await using network = await RouterNetwork.start();
  const handler = handlerOf(network, { limits: { maxWatchers: 1, maxWatchBacklog: 5 } });
  const first = await Watcher.of(handler, network, only(...dataPlane));
  await first.snapshot();
  const second = await Watcher.of(handler, network, only(...dataPlane));
  await expect(second.next()).rejects.toMatchObject({ code: "WATCHERS_EXCEEDED" });
  first.stop();
  expect(await first.next()).toBe(undefined);
  const third = await Watcher.of(handler, network, only(...dataPlane));
  await third.snapshot();
  third.stop();
});

test("a link is told when its state changes, and when it is gone", async () => {
  await using network = await RouterNetwork.start();
  let links: readonly Link[] = [Link.create({ linkId: "l", state: LinkState.LINK_STATE_CONNECTING })];
  let changed: () => void = () => undefined;
  const onLinkChange = (listener: () => void): (() => void) => {
    changed = listener;
    return () => undefined;
  };
  const handler = handlerOf(network, { links: () => links, onLinkChange });
  const watcher = await Watcher.of(handler, network, only(WatchKind.WATCH_KIND_LINKS));
  expect(await watcher.snapshot()).toMatchObject([{ $case: "link", value: { linkId: "l" } }]);
  changed();
  links = [Link.create({ linkId: "l", state: LinkState.LINK_STATE_UP })];
  changed();
  expect(await watcher.next()).toMatchObject({ $case: "link", value: { state: LinkState.LINK_STATE_UP } });
  links = [];
  changed();
  expect(await watcher.next()).toEqual({ $case: "linkGone", value: "l" });
  watcher.stop();
});

test("the stop of the process ends every watch", async () => {
  await using network = await RouterNetwork.start();
  const stop = new AbortController();
  const handler = handlerOf(network, { signal: stop.signal });
  const watcher = await Watcher.of(handler, network, only(...dataPlane));
  await watcher.snapshot();
  const next = watcher.next();
  stop.abort();
  expect(await next).toBe(undefined);
});

test.each([
  [{ figuresEveryMs: 99 }, "figures_every_ms"],
  [{ figuresEveryMs: 3_600_001 }, "figures_every_ms"],
  [{ busiest: 51 }, "busiest"],
  [{ kinds: [WatchKind.WATCH_KIND_UNSPECIFIED] }, "kinds"],
])("%o is refused", async (change, field) => {
  await using network = await RouterNetwork.start();
  const watcher = await Watcher.of(handlerOf(network), network, { ...WatchRequest.create(), ...change });
  await expect(watcher.next()).rejects.toMatchObject({ code: "WATCH_INVALID", field });
});
