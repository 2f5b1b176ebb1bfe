import { Figures } from "@sallyport/proto/router";
import { expect, test } from "vitest";
import { ratesOf } from "./rates.ts";

const before = Figures.create({
  timeUnixMs: 1_000,
  cpuSeconds: 10,
  bytesForwarded: 5_000_000,
  circuitsOpened: 100,
  circuitsRefused: 10,
  tunnelsRefused: 2,
  shed: { maxTunnels: 2 },
});

test("rates are what happened between two figures, per second", () => {
  const now = Figures.create({
    ...before,
    timeUnixMs: 3_000,
    cpuSeconds: 10.5,
    bytesForwarded: 9_000_000,
    circuitsOpened: 150,
    circuitsRefused: 12,
    tunnelsRefused: 6,
    shed: { maxTunnels: 4, maxStreamsPerTunnel: 4 },
  });
  expect(ratesOf(before, now)).toEqual({
    cpuPercent: 25,
    bytesPerSecond: 2_000_000,
    framesPerSecond: 0,
    opensPerSecond: 25,
    refusalsPerSecond: 3,
    shedPerSecond: 3,
  });
});

test.each([
  ["the first figures", undefined, before],
  ["figures of the same moment", before, before],
  ["a router that began anew", before, Figures.create({ timeUnixMs: 2_000 })],
])("%s have no rates", (_, earlier, now) => {
  expect(Object.values(ratesOf(earlier, now))).toEqual([0, 0, 0, 0, 0, 0]);
});
