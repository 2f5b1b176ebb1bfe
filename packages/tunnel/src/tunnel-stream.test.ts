import { once } from "node:events";
import { INITIAL_WINDOW_BYTES, WireCode } from "@sallyport/frame";
import { expect, test, vi } from "vitest";
import { type StreamPort, TunnelStream } from "./tunnel-stream.ts";

interface Sent {
  readonly kind: "data" | "window" | "fin" | "reset" | "forget";
  readonly value: number;
}

/** A port that takes everything, and says what it was given. */
class OpenPort implements StreamPort {
  congested = false;
  readonly sent: Sent[] = [];
  readonly waiting: TunnelStream[] = [];

  pumpOnDrain(stream: TunnelStream): void {
    this.waiting.push(stream);
  }

  sendData(_streamId: number, _pieces: readonly Uint8Array[], _offset: number, payloadBytes: number): void {
    this.sent.push({ kind: "data", value: payloadBytes });
  }

  sendWindow(_streamId: number, creditBytes: number): void {
    this.sent.push({ kind: "window", value: creditBytes });
  }

  sendFin(): void {
    this.sent.push({ kind: "fin", value: 0 });
  }

  sendReset(_streamId: number, wireCode: number): void {
    this.sent.push({ kind: "reset", value: wireCode });
  }

  forget(): void {
    this.sent.push({ kind: "forget", value: 0 });
  }

  bytes(kind: Sent["kind"]): number {
    return this.sent.reduce((sum, each) => (each.kind === kind ? sum + each.value : sum), 0);
  }
}

function receive(stream: TunnelStream, bytes: number, pieceBytes: number): void {
  const chunk = Buffer.alloc(65_536, 1);
  for (let left = bytes; left > 0; left -= pieceBytes) stream.receiveData(chunk, 0, Math.min(pieceBytes, left));
}

test("a writer sends its credit and not a byte more, until more is granted", () => {
  const port = new OpenPort();
  const stream = new TunnelStream(1, port);
  stream.write(Buffer.alloc(INITIAL_WINDOW_BYTES + 10));
  expect(port.bytes("data")).toBe(INITIAL_WINDOW_BYTES);
  stream.receiveWindow(4);
  expect(port.bytes("data")).toBe(INITIAL_WINDOW_BYTES + 4);
  stream.receiveWindow(100);
  expect(port.bytes("data")).toBe(INITIAL_WINDOW_BYTES + 10);
});

test("a writer waits for a congested channel, and goes on when it is told", () => {
  const port = new OpenPort();
  const stream = new TunnelStream(1, port);
  port.congested = true;
  stream.write(Buffer.alloc(10));
  expect(port.bytes("data")).toBe(0);
  expect(port.waiting).toEqual([stream]);
  port.congested = false;
  stream.pump();
  expect(port.bytes("data")).toBe(10);
});

test("a reader that takes everything gets exactly what it took granted again, in steps of half a window", () => {
  for (const mode of ["flowing", "paused"] as const) {
    const port = new OpenPort();
    const stream = new TunnelStream(1, port);
    if (mode === "flowing") stream.on("data", () => {});
    for (let round = 0; round < 40; round += 1) {
      receive(stream, INITIAL_WINDOW_BYTES / 4, 10_000);
      while (stream.read() !== null);
    }
    expect(port.bytes("window")).toBe(10 * INITIAL_WINDOW_BYTES);
    expect(port.sent.every(({ kind, value }) => kind !== "window" || value >= INITIAL_WINDOW_BYTES / 2)).toBe(true);
  }
});

test("a reader that takes nothing grants nothing, and the peer's first byte beyond the window is a violation", () => {
  const port = new OpenPort();
  const stream = new TunnelStream(1, port);
  receive(stream, INITIAL_WINDOW_BYTES, 16_376);
  expect(port.bytes("window")).toBe(0);
  expect(() => receive(stream, 1, 1)).toThrow(expect.objectContaining({ code: "CREDIT_EXCEEDED" }));
});

test("a window of single bytes waits in few buffers, and comes out whole with the end behind it", async () => {
  const stream = new TunnelStream(1, new OpenPort());
  const chunk = Buffer.alloc(1);
  for (let at = 0; at < INITIAL_WINDOW_BYTES; at += 1) {
    chunk[0] = at % 251;
    stream.receiveData(Buffer.from(chunk), 0, 1);
  }
  stream.receiveFin();
  const buffers: Buffer[] = [];
  stream.on("data", (buffer: Buffer) => buffers.push(buffer));
  await once(stream, "end");
  const whole = Buffer.concat(buffers);
  expect(whole).toHaveLength(INITIAL_WINDOW_BYTES);
  expect(whole.every((byte, at) => byte === at % 251)).toBe(true);
  expect(buffers.length).toBeLessThan(INITIAL_WINDOW_BYTES / 10);
});

test("a small payload keeps no large chunk alive, a full one is not copied", () => {
  const stream = new TunnelStream(1, new OpenPort());
  const chunk = Buffer.alloc(20_000, 1);
  stream.receiveData(chunk, 8, 108);
  const small: unknown = stream.read();
  expect(Buffer.isBuffer(small) && small.buffer !== chunk.buffer && small.length).toBe(100);
  stream.receiveData(chunk, 8, 16_384);
  const full: unknown = stream.read();
  expect(Buffer.isBuffer(full) && full.buffer === chunk.buffer && full.length).toBe(16_376);
});

test("destroyed before both FINs a stream is reset, after them nothing more is sent", async () => {
  const cut = new OpenPort();
  new TunnelStream(1, cut).reset(WireCode.gone);
  expect(cut.sent).toEqual([
    { kind: "reset", value: WireCode.gone },
    { kind: "forget", value: 0 },
  ]);

  const ended = new OpenPort();
  const stream = new TunnelStream(1, ended);
  stream.end();
  stream.resume();
  stream.receiveFin();
  await once(stream, "close");
  expect(ended.sent).toEqual([
    { kind: "fin", value: 0 },
    { kind: "forget", value: 0 },
  ]);
});

test("a stream that left after its FIN waits for the peer's, and is not told as reset", async () => {
  const port = new OpenPort();
  const stream = new TunnelStream(1, port);
  stream.end("all");
  await once(stream, "finish");
  stream.destroy();
  receive(stream, 100, 50);
  expect(port.sent.map(({ kind }) => kind)).toEqual(["data", "fin"]);
  stream.receiveFin();
  expect(port.sent.map(({ kind }) => kind)).toEqual(["data", "fin", "forget"]);
});

test("a peer that sends no FIN to a stream that left is reset, at the latest after a moment", async () => {
  vi.useFakeTimers();
  const port = new OpenPort();
  const waiting = new TunnelStream(1, port);
  waiting.end();
  await vi.advanceTimersByTimeAsync(0);
  waiting.destroy();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(port.sent.map(({ kind }) => kind)).toEqual(["fin", "reset", "forget"]);
  vi.useRealTimers();
});

test("a stream that left can still be reset at once", async () => {
  const port = new OpenPort();
  const stream = new TunnelStream(1, port);
  stream.end();
  await once(stream, "finish");
  stream.destroy();
  stream.reset(WireCode.revoked);
  expect(port.sent.at(-2)).toEqual({ kind: "reset", value: WireCode.revoked });
});

test("bytes that came before FIN are read after the tunnel forgot the stream", async () => {
  const port = new OpenPort();
  const stream = new TunnelStream(1, port);
  receive(stream, 5000, 1000);
  stream.end();
  stream.receiveFin();
  let bytes = 0;
  for await (const chunk of stream) if (Buffer.isBuffer(chunk)) bytes += chunk.length;
  expect(bytes).toBe(5000);
  expect(port.bytes("reset")).toBe(0);
});

test("a write that waits fails when the stream is reset", async () => {
  const stream = new TunnelStream(1, new OpenPort());
  stream.on("error", () => {});
  const failed = Promise.withResolvers<Error | null | undefined>();
  stream.write(Buffer.alloc(INITIAL_WINDOW_BYTES * 2), failed.resolve);
  stream.fail(new Error("reset by the peer"));
  expect(await failed.promise).toMatchObject({ message: "reset by the peer" });
});
