import fc from "fast-check";
import {
  FrameDecoder,
  FrameError,
  FrameType,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  encodeFrame,
  setU32,
} from "@sallyport/frame";
import { expect, test } from "vitest";
import { Leg, type Outlet } from "./leg.ts";
import { NaiveSplice } from "./naive-splice.ts";
import { Splice, type Relayed } from "./splice.ts";

/** What left, byte for byte, and in how many pieces. */
class Sink implements Outlet {
  readonly pieces: Buffer[] = [];

  forward(frames: Buffer): void {
    this.pieces.push(frames);
  }

  writeFrame(type: number, flags: number, streamId: number, payload?: Uint8Array): void {
    this.pieces.push(encodeFrame(type, flags, streamId, payload));
  }

  dropStream(): void {}
  flush(): void {}

  /** A copy: forwarded pieces are views. */
  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

/** Four circuits that arrive on one tunnel (ids 1, 3, 5, 7) and leave on two. */
function circuits(): { readonly legs: ReadonlyMap<number, Leg>; readonly sinks: readonly Sink[] } {
  const source = new Sink();
  const sinks = [new Sink(), new Sink()];
  const legs = new Map<number, Leg>();
  for (const [index, streamId] of [1, 3, 5, 7].entries()) {
    const leg = new Leg(source, streamId);
    Leg.join(leg, new Leg(sinks[index % 2] ?? source, 100 + 2 * index));
    legs.set(streamId, leg);
  }
  return { legs, sinks };
}

type Relay = Pick<Splice, "relay"> & Partial<Pick<Splice, "endBatch">>;

/** Feeds chunks as a channel would; the verdicts in order, and a violation ends it. */
function feed(relay: Relay, legs: ReadonlyMap<number, Leg>, chunks: readonly Buffer[]): readonly string[] {
  const verdicts: string[] = [];
  const decoder = new FrameDecoder((type, _flags, streamId, chunk, start, end) => {
    const leg = legs.get(streamId);
    if (leg === undefined) throw new Error(`no leg ${streamId}`);
    verdicts.push(relay.relay(leg, type, chunk, start, end));
  });
  try {
    for (const chunk of chunks) {
      decoder.push(Buffer.from(chunk));
      relay.endBatch?.();
    }
  } catch (error) {
    relay.endBatch?.();
    verdicts.push(error instanceof FrameError ? error.code : String(error));
  }
  return verdicts;
}

function u32(value: number): Buffer {
  const payload = Buffer.alloc(4);
  setU32(payload, 0, value);
  return payload;
}

const streamId = fc.constantFrom(1, 3, 5, 7);
const frame = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(streamId, fc.integer({ min: 1, max: 9_000 }), fc.nat(255))
      .map(([id, size, fill]) => encodeFrame(FrameType.data, 0, id, Buffer.alloc(size, fill))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(streamId, fc.integer({ min: 0, max: 300_000 }))
      .map(([id, credit]) => encodeFrame(FrameType.window, 0, id, u32(credit))),
  },
  { weight: 1, arbitrary: streamId.map((id) => encodeFrame(FrameType.fin, 0, id)) },
  {
    weight: 1,
    arbitrary: fc.tuple(streamId, fc.nat(10)).map(([id, code]) => encodeFrame(FrameType.reset, 0, id, u32(code))),
  },
);

/** The frames as a carrier might cut them. */
const chunked = fc
  .tuple(
    fc.array(frame, { maxLength: 60 }),
    fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 20 }),
  )
  .map(([frames, cuts]) => {
    const bytes = Buffer.concat(frames);
    const chunks: Buffer[] = [];
    for (let at = 0, cut = 0; at < bytes.length; cut += 1) {
      const size = cuts[cut % cuts.length] ?? 1;
      chunks.push(bytes.subarray(at, at + size));
      at += size;
    }
    return chunks;
  });

test("whatever arrives, however it is cut into chunks, leaves as the plain version says", () => {
  fc.assert(
    fc.property(chunked, (chunks) => {
      const fast = circuits();
      const plain = circuits();
      expect(feed(new Splice(), fast.legs, chunks)).toEqual(feed(new NaiveSplice(), plain.legs, chunks));
      for (const [index, sink] of fast.sinks.entries())
        expect(sink.bytes.equals(plain.sinks[index]?.bytes ?? Buffer.alloc(0))).toBe(true);
      for (const [id, leg] of fast.legs) {
        expect([leg.bytes, leg.credit.availableBytes, leg.finished]).toEqual([
          plain.legs.get(id)?.bytes,
          plain.legs.get(id)?.credit.availableBytes,
          plain.legs.get(id)?.finished,
        ]);
      }
    }),
    { numRuns: 300 },
  );
});

test("consecutive frames for one tunnel leave as one piece of the buffer in which they came", () => {
  const { legs, sinks } = circuits();
  const chunk = Buffer.concat([1, 5, 1, 5].map((id) => encodeFrame(FrameType.data, 0, id, Buffer.alloc(100, id))));
  const splice = new Splice();
  new FrameDecoder((type, _flags, id, bytes, start, end) => {
    const leg = legs.get(id);
    if (leg !== undefined) splice.relay(leg, type, bytes, start, end);
  }).push(chunk);
  splice.endBatch();
  expect(sinks[0]?.pieces).toHaveLength(1);
  expect(sinks[0]?.pieces[0]?.buffer).toBe(chunk.buffer);
});

test("credit is spent by DATA and granted by the other end's WINDOW, to the byte", () => {
  const { legs, sinks } = circuits();
  const leg = legs.get(1);
  if (leg === undefined) throw new Error("no leg");
  const splice = new Splice();
  const send = (target: Leg, type: number, payload: Buffer): Relayed => {
    const bytes = encodeFrame(type, 0, target.streamId, payload);
    return splice.relay(target, type, bytes, 0, bytes.length);
  };
  for (let left = INITIAL_WINDOW_BYTES; left > 0; left -= 8_192) send(leg, FrameType.data, Buffer.alloc(8_192));
  expect(() => send(leg, FrameType.data, Buffer.alloc(1))).toThrow(FrameError);
  send(leg.peer, FrameType.window, u32(1));
  expect(send(leg, FrameType.data, Buffer.alloc(1))).toBe("open");
  expect(() => send(leg, FrameType.data, Buffer.alloc(1))).toThrow(FrameError);
  splice.endBatch();
  expect(sinks[0]?.bytes.length).toBe((INITIAL_WINDOW_BYTES / 8_192) * (8_192 + HEADER_BYTES) + 1 + HEADER_BYTES);
});

test("a frame that opens or answers has no business on an open stream", () => {
  const { legs } = circuits();
  for (const type of [FrameType.open, FrameType.accept, FrameType.refuse]) {
    expect(feed(new Splice(), legs, [encodeFrame(type, 0, 1, Buffer.alloc(2))])).toEqual(["STREAM_STATE_INVALID"]);
  }
});
