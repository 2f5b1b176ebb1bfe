import { randomBytes } from "node:crypto";
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { DataWriter } from "./data-writer.ts";
import { RecordReader } from "./record.ts";

/** Like a TLS socket it has copied what it was given when it calls back; how long that takes is the test's to say. */
class SlowTls extends Writable {
  readonly #data: Buffer[] = [];
  readonly #reader = new RecordReader({
    onData: (bytes) => this.#data.push(Buffer.from(bytes)),
    onEnd: () => undefined,
    onReset: () => undefined,
  });
  readonly writes: number[] = [];

  get data(): Buffer {
    return Buffer.concat(this.#data);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    setImmediate(() => {
      this.writes.push(chunk.length);
      this.#reader.push(chunk);
      done();
    });
  }
}

async function write(writer: DataWriter, pieces: readonly Buffer[]): Promise<void> {
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  await new Promise<void>((resolve, reject) => {
    writer.write(pieces, bytes, (error) => (error ? reject(error) : resolve()));
  });
}

test("a large write leaves in runs of at most sixteen full records, and whole", async () => {
  const tls = new SlowTls();
  const pieces = [randomBytes(100_000), randomBytes(600_000), randomBytes(5)];
  await write(new DataWriter(tls), pieces);
  expect(tls.data.equals(Buffer.concat(pieces))).toBe(true);
  expect(tls.writes.slice(0, -1)).toEqual([261_664, 261_664]);
});

test("memory that is used again never belongs to a write that has not left", async () => {
  const circuits = Array.from({ length: 12 }, () => {
    const tls = new SlowTls();
    return { tls, writer: new DataWriter(tls), sent: Array.from({ length: 5 }, () => randomBytes(50_000)) };
  });
  await Promise.all(
    circuits.map(async ({ writer, sent }) => {
      for (const piece of sent) await write(writer, [piece]);
    }),
  );
  for (const { tls, sent } of circuits) expect(tls.data.equals(Buffer.concat(sent))).toBe(true);
});

test("a connection that fails is told to the writer", async () => {
  const tls = new SlowTls().on("error", () => undefined);
  tls.destroy(new Error("gone"));
  await expect(write(new DataWriter(tls), [Buffer.alloc(20_000)])).rejects.toThrow();
});
