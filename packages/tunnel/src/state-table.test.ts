import { readFileSync } from "node:fs";
import { duplexPair } from "node:stream";
import { FrameType, WireCode, encodeFrame, encodeReset, type FrameErrorCode } from "@sallyport/frame";
import { StreamAccept, StreamOpen, type Refusal } from "@sallyport/proto/tunnel";
import { describe, expect, test } from "vitest";
import type { IncomingStream } from "./incoming-stream.ts";
import { ScriptedPeer } from "./testing/scripted-peer.ts";
import {
  checkCell,
  receivedFrames,
  stateCells,
  stateTable,
  type StreamInState,
  type StreamState,
} from "./testing/state-table.ts";
import type { TunnelStream } from "./tunnel-stream.ts";
import { Tunnel } from "./tunnel.ts";

test("the table that is tested is the table of the spec", () => {
  const spec = readFileSync(new URL("../../frame/spec.md", import.meta.url), "utf8");
  const rows = [...spec.matchAll(/^\| \*\*([a-z ]+)\*\*[^|]*\|(.+)\|[^|]*\|$/gm)];
  const table = rows.map(([, state = "", cells = ""]) => [state, cells.split("|").map((cell) => cell.trim())]);
  expect(receivedFrames).toHaveLength(7);
  expect(Object.fromEntries(table)).toStrictEqual(stateTable);
});

const no: Refusal = { code: "NO_HOST", message: "", decisionId: "", ruleIds: [], sliceVersion: 0 };
const dial: StreamOpen = StreamOpen.create({ service: "asked" });

/** A Tunnel that accepts what the peer opens, but for service `unanswered`; and the peer, which has said hello. */
async function start(): Promise<{
  readonly tunnel: Tunnel;
  readonly peer: ScriptedPeer;
  readonly streams: TunnelStream[];
  readonly offers: IncomingStream[];
  readonly base: Omit<StreamInState, "streamId">;
}> {
  const [near, far] = duplexPair();
  const streams: TunnelStream[] = [];
  const offers: IncomingStream[] = [];
  const delivered = Promise.withResolvers<void>();
  const listen = (stream: TunnelStream): void => {
    streams.push(stream.on("data", () => delivered.resolve()));
  };
  const onOpen = (incoming: IncomingStream): void => {
    offers.push(incoming);
    if (incoming.open.service === "accepted") listen(incoming.accept(StreamAccept.create()));
  };
  const tunnel = new Tunnel(near, { side: "router", software: "cells", onOpen });
  const peer = new ScriptedPeer(far);
  peer.sendHello();
  await tunnel.hello;
  const violation = async (): Promise<FrameErrorCode> => {
    const end = await tunnel.closed;
    if (end.kind !== "violated") throw new Error(`the tunnel ended as ${end.kind}`);
    return end.error.code;
  };
  return { tunnel, peer, streams, offers, base: { peer, freshId: 101, delivered: () => delivered.promise, violation } };
}

async function opened(): Promise<Awaited<ReturnType<typeof start>> & { readonly stream: TunnelStream }> {
  const started = await start();
  started.peer.sendOpen(1, "accepted");
  await started.peer.next(FrameType.accept);
  const [stream] = started.streams;
  if (stream === undefined) throw new Error("no stream was accepted");
  return { ...started, stream };
}

const enter: Readonly<Record<StreamState, readonly (() => Promise<StreamInState>)[]>> = {
  idle: [async () => ({ ...(await start()).base, streamId: 1 })],
  opening: [
    async () => {
      const { tunnel, peer, base } = await start();
      void tunnel
        .openStream(dial)
        .then((result) => result.kind === "accepted" && result.stream.on("data", () => taken.resolve()))
        .catch(() => undefined);
      const taken = Promise.withResolvers<void>();
      const { streamId } = await peer.next(FrameType.open);
      return { ...base, streamId, delivered: () => taken.promise };
    },
  ],
  offered: [
    async () => {
      const { tunnel, peer, base } = await start();
      peer.sendOpen(1, "unanswered");
      await expect.poll(() => tunnel.streamCount).toBe(1);
      return { ...base, streamId: 1 };
    },
  ],
  open: [async () => ({ ...(await opened()).base, streamId: 1 })],
  "remote ended": [
    async () => {
      const { peer, base, stream } = await opened();
      peer.send(encodeFrame(FrameType.fin, 0, 1));
      await new Promise((resolve) => stream.once("end", resolve));
      return { ...base, streamId: 1 };
    },
  ],
  "local ended": [
    async () => {
      const { peer, base, stream } = await opened();
      stream.end();
      await peer.next(FrameType.fin);
      return { ...base, streamId: 1 };
    },
  ],
  closed: [
    async function byFinBothWays() {
      const { tunnel, peer, base, stream } = await opened();
      stream.end();
      await peer.next(FrameType.fin);
      peer.send(encodeFrame(FrameType.fin, 0, 1));
      await expect.poll(() => tunnel.streamCount).toBe(0);
      return { ...base, streamId: 1 };
    },
    async function byThePeersReset() {
      const { tunnel, peer, base } = await opened();
      peer.send(encodeReset(1, WireCode.cancelled));
      await expect.poll(() => tunnel.streamCount).toBe(0);
      return { ...base, streamId: 1 };
    },
    async function byItsOwnReset() {
      const { peer, base, stream } = await opened();
      stream.reset(WireCode.limit);
      await peer.next(FrameType.reset);
      return { ...base, streamId: 1 };
    },
    async function byRefusing() {
      const { peer, offers, base } = await start();
      peer.sendOpen(1, "unanswered");
      await expect.poll(() => offers.length).toBe(1);
      offers[0]?.refuse(no);
      await peer.next(FrameType.refuse);
      return { ...base, streamId: 1 };
    },
    async function byBeingRefused() {
      const { tunnel, peer, base } = await start();
      const result = tunnel.openStream(dial);
      const { streamId } = await peer.next(FrameType.open);
      peer.send(encodeFrame(FrameType.refuse, 0, streamId));
      await result;
      return { ...base, streamId };
    },
    async function byGivingUp() {
      const { tunnel, peer, base } = await start();
      const giveUp = new AbortController();
      tunnel.openStream(dial, { signal: giveUp.signal }).catch(() => undefined);
      const { streamId } = await peer.next(FrameType.open);
      giveUp.abort();
      expect((await peer.next(FrameType.reset)).streamId).toBe(streamId);
      return { ...base, streamId };
    },
  ],
};

describe.for(stateCells)("$title", (cell) => {
  test.for(enter[cell.state].map((reach) => ({ reach, how: reach.name })))("$how", async ({ reach }) => {
    await checkCell(cell, await reach());
  });
});
