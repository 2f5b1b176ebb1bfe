import { expect, test } from "vitest";
import { connectorWorld } from "./connector-world.test-support.ts";
import { HeadWatch } from "./head-watch.ts";
import type { OpenTunnel } from "./open-tunnel.ts";
import { openTunnel } from "./open-tunnel.ts";

/** Two real tunnels to two routers, and a watch over them that logs to `lines`. */
async function watched(): Promise<{
  readonly watch: HeadWatch;
  readonly tunnels: readonly [OpenTunnel, OpenTunnel];
  readonly lines: string[];
  readonly end: () => Promise<void>;
}> {
  const world = await connectorWorld({ more: [{}] });
  const identity = await world.authority.source((await world.profile("agent")).svid.identity.id);
  const ignore = (): void => undefined;
  const handlers = { onOpen: ignore, onControl: ignore, onGoaway: ignore, proxy: () => undefined };
  const signal = new AbortController().signal;
  const open = async (index: number): Promise<OpenTunnel> => {
    const address = world.routers[index]?.address ?? "";
    const opened = await openTunnel({ ...handlers, address, identity, isTaken: () => false, signal });
    if (opened === "taken") throw new Error("taken");
    return opened;
  };
  const tunnels = [await open(0), await open(1)] as const;
  const watch = new HeadWatch(world.log);
  for (const tunnel of tunnels) watch.watch(tunnel);
  const end = async (): Promise<void> => {
    for (const { tunnel } of tunnels) tunnel.abort(0);
    await world[Symbol.asyncDispose]();
  };
  return { watch, tunnels, lines: world.log.lines, end };
}

test("a router whose head falls more than 30 s behind the other's is told of once, and again when it has caught up", async () => {
  const { watch, tunnels, lines, end } = await watched();
  const [one, other] = tunnels;
  const start = 1_800_000_000_000;
  watch.take(one, { sequence: 1, timeUnixMs: start });
  watch.take(other, { sequence: 1, timeUnixMs: start });
  watch.take(one, { sequence: 2, timeUnixMs: start + 30_000 });
  expect(watch.headOf(other)).toStrictEqual({ sequence: 1, lagMs: 30_000 });
  expect(lines).toStrictEqual([]);
  watch.take(one, { sequence: 3, timeUnixMs: start + 30_001 });
  watch.take(one, { sequence: 4, timeUnixMs: start + 40_000 });
  expect([watch.lags(one), watch.lags(other)]).toStrictEqual([false, true]);
  expect(lines.length).toBe(1);
  expect(lines[0]).toContain(other.router.identity.id.uri);
  watch.take(other, { sequence: 4, timeUnixMs: start + 40_000 });
  expect(watch.lags(other)).toBe(false);
  expect(lines.length).toBe(2);
  await end();
});

test("a router that never passes on a head owes it from the time at which it could", async () => {
  const { watch, tunnels, lines, end } = await watched();
  const [one, other] = tunnels;
  watch.forget(other);
  watch.take(one, { sequence: 7, timeUnixMs: 1_800_000_000_000 });
  watch.watch(other);
  expect(watch.headOf(other)).toStrictEqual({ sequence: 0, lagMs: 0 });
  watch.take(one, { sequence: 8, timeUnixMs: 1_800_000_031_000 });
  expect(watch.lags(other)).toBe(true);
  expect(lines.length).toBe(1);
  await end();
});

test("a head that a router repeats of an earlier time does not set it back", async () => {
  const { watch, tunnels, end } = await watched();
  const [one] = tunnels;
  watch.take(one, { sequence: 8, timeUnixMs: 1_800_000_031_000 });
  watch.take(one, { sequence: 7, timeUnixMs: 1_800_000_000_000 });
  expect(watch.headOf(one)).toStrictEqual({ sequence: 8, lagMs: 0 });
  await end();
});
