import {
  encodeDataRun,
  encodeFrame,
  encodePing,
  encodeReset,
  encodeWindow,
  FrameDecoder,
  FrameType,
} from "@sallyport/frame";
import fc from "fast-check";
import { expect, test } from "vitest";
import { OutboundQueue } from "./outbound-queue.ts";

interface Sent {
  readonly type: number;
  readonly streamId: number;
  readonly payload: string;
}

function framesOf(buffers: readonly Buffer[]): Sent[] {
  const frames: Sent[] = [];
  const decoder = new FrameDecoder((type, _flags, streamId, chunk, start, end) =>
    frames.push({ type, streamId, payload: chunk.toString("hex", start + 8, end) }),
  );
  for (const each of buffers) decoder.push(each);
  decoder.finish();
  return frames;
}

function drain(queue: OutboundQueue): Buffer[] {
  const buffers: Buffer[] = [];
  for (let next = queue.shift(); next !== null; next = queue.shift()) buffers.push(next);
  return buffers;
}

const frame = fc
  .tuple(
    fc.constantFrom(0, 1, 2, 3, 4, 5, 6),
    fc.integer({ min: 1, max: 4 }),
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
  )
  .map(([type, streamId, bytes]) => {
    if (type === FrameType.window) return encodeWindow(streamId, 7);
    if (type === FrameType.reset) return encodeReset(streamId, 5);
    return encodeFrame(type, 0, streamId, type === FrameType.fin ? undefined : bytes);
  });
const entry = fc.oneof(
  { weight: 4, arbitrary: fc.array(frame, { minLength: 1, maxLength: 5 }).map((frames) => Buffer.concat(frames)) },
  { weight: 1, arbitrary: fc.constant(encodeDataRun(2, [Buffer.alloc(20_000)], 0, 20_000)) },
);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(entry, fc.boolean()).map(([frames, packed]) => ({ kind: "push", frames, packed }) as const),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "shift" } as const) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }).map((streamId) => ({ kind: "drop", streamId }) as const) },
);

test("whatever is pushed, packed, taken and dropped, what waits of a stream and the frames that leave are those of a plain list", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const queue = new OutboundQueue();
      let expected: Sent[] = [];
      const taken: Sent[] = [];
      for (const each of steps) {
        if (each.kind === "push") {
          queue.push(each.frames, each.packed);
          expected.push(...framesOf([each.frames]));
        } else if (each.kind === "shift") {
          const buffer = queue.shift();
          if (buffer === null) continue;
          const frames = framesOf([buffer]);
          taken.push(...frames);
          expect(expected.slice(0, frames.length)).toEqual(frames);
          expected = expected.slice(frames.length);
        } else {
          queue.dropStream(each.streamId);
          expected = expected.filter(
            ({ type, streamId }) =>
              streamId !== each.streamId ||
              ![FrameType.data, FrameType.window, FrameType.fin].some((droppable) => droppable === type),
          );
        }
      }
      for (const streamId of [1, 2, 3, 4]) {
        const data = expected.filter((sent) => sent.type === FrameType.data && sent.streamId === streamId);
        const payloadBytes = data.reduce((sum, { payload }) => sum + payload.length / 2, 0);
        expect(queue.payloadBytesOf(streamId)).toBe(payloadBytes);
      }
      const left = drain(queue);
      expect(framesOf(left)).toEqual(expected);
      expect(queue.bytes).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test("bytes counts exactly what waits, after drops too", () => {
  const queue = new OutboundQueue();
  queue.push(Buffer.concat([encodeFrame(0, 0, 1, Buffer.alloc(10)), encodeFrame(0, 0, 3, Buffer.alloc(20))]), true);
  queue.push(encodeFrame(FrameType.open, 0, 1, Buffer.alloc(5)), true);
  queue.pushUrgent(encodePing(Buffer.alloc(8), true));
  expect(queue.dropStream(1)).toBe(18);
  expect(queue.bytes).toBe(28 + 13 + 16);
  expect(drain(queue).reduce((sum, each) => sum + each.length, 0)).toBe(28 + 13 + 16);
});

test("a ping overtakes everything that waits", () => {
  const queue = new OutboundQueue();
  queue.push(encodeFrame(0, 0, 1, Buffer.alloc(10)), false);
  queue.pushUrgent(encodePing(Buffer.alloc(8), true));
  expect(framesOf(drain(queue)).map(({ type }) => type)).toEqual([FrameType.ping, FrameType.data]);
});

test("ten thousand small frames that wait are few buffers, and keep no large chunk alive", () => {
  const queue = new OutboundQueue();
  const chunk = Buffer.alloc(65_536);
  encodeFrame(0, 0, 1, Buffer.from("x")).copy(chunk);
  for (let count = 0; count < 10_000; count += 1) queue.push(chunk.subarray(0, 9), true);
  const buffers = drain(queue);
  expect(buffers.length).toBeLessThan(10);
  expect(buffers.every((each) => each.buffer !== chunk.buffer)).toBe(true);
  expect(framesOf(buffers)).toHaveLength(10_000);
});
