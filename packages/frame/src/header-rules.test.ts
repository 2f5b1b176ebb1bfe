import { expect, test } from "vitest";
import type { FrameErrorCode } from "./frame-error.ts";
import { checkHeader } from "./header-rules.ts";

interface Header {
  readonly bytes: number;
  readonly type: number;
  readonly flags?: number;
  readonly id: number;
}

function codeFor({ bytes, type, flags = 0, id }: Header): FrameErrorCode | null {
  try {
    checkHeader(bytes, type, flags, id);
    return null;
  } catch (error) {
    if (error instanceof Error && "code" in error) return error.code as FrameErrorCode; // checkHeader throws nothing else.
    throw error;
  }
}

test.for<[Header, FrameErrorCode | null]>([
  [{ type: 0, bytes: 1, id: 1 }, null],
  [{ type: 0, bytes: 16_376, id: 0xffff_ffff }, null],
  [{ type: 0, bytes: 0, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 0, bytes: 16_377, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 0, bytes: 1, id: 0 }, "STREAM_ID_INVALID"],
  [{ type: 0, bytes: 1, id: 1, flags: 1 }, "FRAME_FLAGS_INVALID"],
  [{ type: 1, bytes: 0, id: 1 }, null],
  [{ type: 1, bytes: 4096, id: 1 }, null],
  [{ type: 1, bytes: 4097, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 2, bytes: 4097, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 3, bytes: 4097, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 3, bytes: 10, id: 0 }, "STREAM_ID_INVALID"],
  [{ type: 4, bytes: 4, id: 1 }, null],
  [{ type: 4, bytes: 3, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 4, bytes: 4, id: 0 }, "STREAM_ID_INVALID"],
  [{ type: 5, bytes: 0, id: 1 }, null],
  [{ type: 5, bytes: 1, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 6, bytes: 5, id: 1 }, "FRAME_LENGTH_INVALID"],
  [{ type: 7, bytes: 8, id: 0, flags: 1 }, null],
  [{ type: 7, bytes: 8, id: 0, flags: 2 }, "FRAME_FLAGS_INVALID"],
  [{ type: 7, bytes: 8, id: 1 }, "STREAM_ID_INVALID"],
  [{ type: 7, bytes: 7, id: 0 }, "FRAME_LENGTH_INVALID"],
  [{ type: 8, bytes: 4, id: 0 }, null],
  [{ type: 8, bytes: 4, id: 2 }, "STREAM_ID_INVALID"],
  [{ type: 9, bytes: 16_376, id: 0 }, null],
  [{ type: 9, bytes: 16_377, id: 0 }, "FRAME_LENGTH_INVALID"],
  [{ type: 9, bytes: 1, id: 7 }, "STREAM_ID_INVALID"],
  [{ type: 10, bytes: 0, id: 1 }, "FRAME_TYPE_UNKNOWN"],
  [{ type: 255, bytes: 0, id: 0 }, "FRAME_TYPE_UNKNOWN"],
])("header %o: %s", ([header, code]) => {
  expect(codeFor(header)).toBe(code);
});
