import { duplexPair } from "node:stream";
import { buffer } from "node:stream/consumers";
import { WireCode } from "@sallyport/frame";
import { expect, test } from "vitest";
import { Tunnel, type TunnelEnd } from "./tunnel.ts";
import type { TunnelOptions } from "./tunnel-options.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

const open = { service: "files", circuitNonce: Buffer.alloc(16, 7), dialerId: "", sliceVersion: 0, decisionId: "", circuitId: "" };
const accept = { circuitId: "c-1", sliceVersion: 3, decisionId: "d-1", hostId: "spiffe://t/workload/h/1" };

function tunnels(router: Partial<TunnelOptions> = {}, workload: Partial<TunnelOptions> = {}): { router: Tunnel; workload: Tunnel } {
  const [a, b] = duplexPair();
  return {
    router: new Tunnel(a, { side: "router", software: "test/1", routerId: "spiffe://t/router/r", routerEpoch: 5, ...router }),
    workload: new Tunnel(b, { side: "workload", software: "test/1", ...workload }),
  };
}

test("an accepted stream carries bytes both ways, beyond the window, and ends each direction on its own", async () => {
  const payload = Buffer.alloc(3_000_000, "sally");
  const { router, workload } = tunnels({ onOpen: (incoming) => void incoming.accept(accept).on("error", () => {}).pipe(echoOf(incoming)) });
  function echoOf(_: unknown): NodeJS.WritableStream {
    return sink;
  }
  const received: Buffer[] = [];
  const { Writable } = await import("node:stream");
  const sink = new Writable({ write: (chunk: Buffer, _e, done) => (received.push(chunk), done()) });
  const result = await workload.openStream(open);
  if (result.kind !== "accepted") throw new Error("refused");
  expect(result.accept).toEqual(accept);
  result.stream.end(payload);
  await new Promise((resolve) => sink.on("finish", resolve));
  expect(Buffer.concat(received).equals(payload)).toBe(true);
  await workload.close();
  expect((await router.closed).kind).toBe("ended");
});

test("smoke: echo and refuse and drain", async () => {
  const { router, workload } = tunnels({
    onOpen: (incoming) => {
      if (incoming.open.service === "no") incoming.refuse({ code: "POLICY_DENIED", message: "No.", decisionId: "d", ruleIds: ["r"], sliceVersion: 1 });
      else {
        const s: TunnelStream = incoming.accept(accept);
        s.pipe(s);
      }
    },
  });
  const refused = await workload.openStream({ ...open, service: "no" });
  expect(refused.kind).toBe("refused");
  const result = await workload.openStream(open);
  if (result.kind !== "accepted") throw new Error("refused");
  router.drain();
  const bytes = Buffer.alloc(1_000_000, 1);
  result.stream.end(bytes);
  expect((await buffer(result.stream)).equals(bytes)).toBe(true);
  const end: TunnelEnd = await router.closed;
  expect(end).toEqual({ kind: "drained" });
  expect((await workload.closed).kind).toBe("ended");
  void WireCode;
});
