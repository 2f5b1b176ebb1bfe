import { Head } from "@sallyport/proto/policy";
import { createLogger, Readiness } from "@sallyport/service";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { HeadBeat } from "./head-beat.ts";

const log = createLogger({ name: "policy", instance: "1", level: "silent" });

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it("publishes at once and then every ten seconds", async () => {
  const times: number[] = [];
  const started = Date.now();
  const publisher = { publish: async () => (times.push(Date.now() - started), Head.fromPartial({})) };
  await using _ = new HeadBeat({ publisher, log, readiness: new Readiness() });
  await vi.advanceTimersByTimeAsync(25_000);
  expect(times).toEqual([0, 10_000, 20_000]);
});

it("is ready only while the last head was published, and tries every second until it is", async () => {
  const readiness = new Readiness();
  let reachable = false;
  let attempts = 0;
  const publisher = {
    publish: async () => {
      attempts++;
      if (!reachable) throw new Error("no bus");
      return Head.fromPartial({});
    },
  };
  await using _ = new HeadBeat({ publisher, log, readiness });
  await vi.advanceTimersByTimeAsync(3_500);
  expect([attempts, readiness.state]).toEqual([4, { kind: "waiting", for: ["a published policy head"] }]);
  reachable = true;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(readiness.state).toEqual({ kind: "ready" });
  reachable = false;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(readiness.state.kind).toBe("waiting");
});

it("publishes nothing after its end", async () => {
  let attempts = 0;
  const publisher = { publish: async () => (attempts++, Head.fromPartial({})) };
  const beat = new HeadBeat({ publisher, log, readiness: new Readiness() });
  await beat[Symbol.asyncDispose]();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(attempts).toBe(1);
});
