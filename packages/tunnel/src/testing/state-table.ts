/**
 * The table of spec.md, section 4, as tests: every frame in every state, at whatever end an implementation has.
 *
 *     describe.for(stateCells)("$title", (cell) => test(…, () => checkCell(cell, await enter(cell.state))));
 */
import assert from "node:assert/strict";
import { FrameType, WireCode, encodeFrame, encodeReset, encodeWindow, type FrameErrorCode } from "@sallyport/frame";
import { StreamOpen } from "@sallyport/proto/tunnel";
import type { ScriptedPeer } from "./scripted-peer.ts";

export type StreamState = "idle" | "opening" | "offered" | "open" | "remote ended" | "local ended" | "closed";

export type ReceivedFrame = "OPEN" | "ACCEPT" | "REFUSE" | "DATA" | "WINDOW" | "FIN" | "RESET";

/** What the end that receives the frame does: as in the table. */
export type StateEffect =
  /** Ends the tunnel: STREAM_ID_INVALID. */
  | "id"
  /** Ends the tunnel: STREAM_STATE_INVALID. */
  | "state"
  | "deliver"
  | "more credit"
  | "drop"
  | "→ offered"
  | "→ open"
  | "→ remote ended"
  | "→ closed";

export const receivedFrames: readonly ReceivedFrame[] = ["OPEN", "ACCEPT", "REFUSE", "DATA", "WINDOW", "FIN", "RESET"];

type Row = readonly [StateEffect, StateEffect, StateEffect, StateEffect, StateEffect, StateEffect, StateEffect];

export const stateTable: Readonly<Record<StreamState, Row>> = {
  idle: ["→ offered", "id", "id", "id", "id", "id", "id"],
  opening: ["id", "→ open", "→ closed", "state", "state", "state", "→ closed"],
  offered: ["id", "state", "state", "state", "state", "state", "→ closed"],
  open: ["id", "state", "state", "deliver", "more credit", "→ remote ended", "→ closed"],
  "remote ended": ["id", "state", "state", "state", "more credit", "state", "→ closed"],
  "local ended": ["id", "state", "state", "deliver", "drop", "→ closed", "→ closed"],
  closed: ["id", "drop", "drop", "drop", "drop", "drop", "drop"],
};

export interface StateCell {
  readonly title: string;
  readonly state: StreamState;
  readonly received: ReceivedFrame;
  readonly effect: StateEffect;
}

export const stateCells: readonly StateCell[] = Object.keys(stateTable).flatMap((name) => {
  const state = name as StreamState; // What Object.keys forgets of its argument.
  return receivedFrames.map((received, column) => {
    const effect = stateTable[state][column] ?? "id";
    return { title: `${state}: ${received} is ${effect}`, state, received, effect };
  });
});

/** A stream that the implementation under test has in some state, and the scripted peer at the other end of its tunnel. */
export interface StreamInState {
  readonly peer: ScriptedPeer;
  readonly streamId: number;
  /** An id of the peer's above all that it used, to see whether the tunnel goes on. */
  readonly freshId: number;
  /** Resolves once whoever reads the stream has DATA. */
  readonly delivered: () => Promise<void>;
  /** The code of the violation that ended the tunnel, where the implementation tells more than the wire code. */
  readonly violation?: () => Promise<FrameErrorCode>;
}

/** @param stream in the state of the cell; the implementation accepts streams of service `accepted`, also when the peer is told of nothing else */
export async function checkCell({ received, effect }: StateCell, stream: StreamInState): Promise<void> {
  const { peer, streamId } = stream;
  peer.send(frameOf(received, streamId));
  if (effect === "id" || effect === "state") return await checkEnded(effect, stream);
  if (effect === "deliver") await stream.delivered();
  await checkAlive(stream);
  switch (effect) {
    case "deliver":
    case "more credit":
    case "drop":
      return;
    case "→ offered":
      return await checkStays(stream, "ACCEPT");
    case "→ open":
      peer.send(frameOf("DATA", streamId));
      return await stream.delivered();
    case "→ remote ended":
      return await checkStays(stream, "FIN");
    case "→ closed":
      return await checkForgotten(stream);
  }
}

async function checkEnded(effect: "id" | "state", { peer, violation }: StreamInState): Promise<void> {
  assert.equal(await peer.goawayCode(), WireCode.protocol);
  const code = await violation?.();
  if (code !== undefined) assert.equal(code, effect === "id" ? "STREAM_ID_INVALID" : "STREAM_STATE_INVALID");
}

async function checkAlive({ peer, freshId }: StreamInState): Promise<void> {
  peer.sendOpen(freshId, "accepted");
  for (;;) {
    const { streamId } = await peer.next(FrameType.accept);
    if (streamId === freshId) return;
  }
}

/** In the state that was reached, that frame ends the tunnel. */
async function checkStays(stream: StreamInState, received: ReceivedFrame): Promise<void> {
  stream.peer.send(frameOf(received, stream.streamId));
  await checkEnded("state", stream);
}

/** Whatever comes for it is dropped. */
async function checkForgotten(stream: StreamInState): Promise<void> {
  for (const received of receivedFrames) if (received !== "OPEN") stream.peer.send(frameOf(received, stream.streamId));
  await checkAlive({ ...stream, freshId: stream.freshId + 2 });
}

function frameOf(received: ReceivedFrame, streamId: number): Buffer {
  switch (received) {
    case "OPEN":
      return encodeFrame(FrameType.open, 0, streamId, openPayload());
    case "ACCEPT":
      return encodeFrame(FrameType.accept, 0, streamId);
    case "REFUSE":
      return encodeFrame(FrameType.refuse, 0, streamId);
    case "DATA":
      return encodeFrame(FrameType.data, 0, streamId, Buffer.from("x"));
    case "WINDOW":
      return encodeWindow(streamId, 1);
    case "FIN":
      return encodeFrame(FrameType.fin, 0, streamId);
    case "RESET":
      return encodeReset(streamId, WireCode.cancelled);
  }
}

function openPayload(): Uint8Array {
  return StreamOpen.encode(StreamOpen.create({ service: "unanswered", circuitNonce: Buffer.alloc(16) })).finish();
}
