import type { Readable, Writable } from "node:stream";
import { TunnelError } from "./tunnel-error.ts";

/** Messages of the built-in streams and of a circuit's binding: u32 big-endian length, then protobuf (tunnel.proto). */
export const MAX_MESSAGE_BYTES = 1_048_576;

const LENGTH_BYTES = 4;

/** What ts-proto generates for a message type. */
export interface MessageCodec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export interface MessageOptions {
  readonly signal?: AbortSignal;
  /** Default and upper bound MAX_MESSAGE_BYTES. */
  readonly maxBytes?: number;
}

/**
 * The next message of a stream that nobody else reads; null at its end. What follows the message stays in the stream.
 * Rejects with TunnelError MESSAGE_INVALID or MESSAGE_TRUNCATED, with the stream's error, or with the signal's reason.
 */
export async function readMessage<T>(
  stream: Readable,
  codec: MessageCodec<T>,
  options: MessageOptions = {},
): Promise<T | null> {
  const length = await readExactly(stream, LENGTH_BYTES, options.signal);
  if (length === null) return null;
  const messageBytes = length.readUInt32BE(0);
  const maxBytes = Math.min(options.maxBytes ?? MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES);
  if (messageBytes > maxBytes)
    throw new TunnelError("MESSAGE_INVALID", `A message of ${messageBytes} bytes; the limit is ${maxBytes}.`);
  const bytes = messageBytes === 0 ? Buffer.alloc(0) : await readExactly(stream, messageBytes, options.signal);
  if (bytes === null) throw new TunnelError("MESSAGE_TRUNCATED", "The stream ended inside a message.");
  try {
    return codec.decode(bytes);
  } catch (cause) {
    throw new TunnelError("MESSAGE_INVALID", "A message does not decode.", { cause });
  }
}

/** Resolves once the stream took the message. Rejects with MESSAGE_INVALID above MAX_MESSAGE_BYTES, or with the stream's error. */
export async function writeMessage<T>(stream: Writable, codec: MessageCodec<T>, message: T): Promise<void> {
  const payload = codec.encode(message).finish();
  if (payload.length > MAX_MESSAGE_BYTES) {
    throw new TunnelError(
      "MESSAGE_INVALID",
      `A message of ${payload.length} bytes; the limit is ${MAX_MESSAGE_BYTES}.`,
    );
  }
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + payload.length);
  bytes.writeUInt32BE(payload.length, 0);
  bytes.set(payload, LENGTH_BYTES);
  const taken = Promise.withResolvers<void>();
  stream.write(bytes, (error) => (error ? taken.reject(error) : taken.resolve()));
  await taken.promise;
}

/** Null when the stream ends before the first byte. Takes what is there, so that a message may be larger than the stream's buffer or window. */
async function readExactly(stream: Readable, bytes: number, signal: AbortSignal | undefined): Promise<Buffer | null> {
  const whole: Buffer[] = [];
  let missing = bytes;
  while (missing > 0) {
    signal?.throwIfAborted();
    const part = takeUpTo(stream, missing);
    if (part !== null) {
      whole.push(part);
      missing -= part.length;
      continue;
    }
    if (stream.errored) throw stream.errored;
    if (stream.readableEnded || stream.destroyed) {
      if (missing === bytes && stream.readableEnded) return null;
      throw new TunnelError("MESSAGE_TRUNCATED", "The stream ended inside a message.");
    }
    await readableOrOver(stream, signal);
  }
  return whole.length === 1 ? (whole[0] ?? null) : Buffer.concat(whole, bytes);
}

function takeUpTo(stream: Readable, bytes: number): Buffer | null {
  const available = Math.min(stream.readableLength, bytes);
  // `read(0)` asks the source for more without taking anything.
  const part: unknown = stream.read(available);
  return available > 0 && Buffer.isBuffer(part) ? part : null;
}

async function readableOrOver(stream: Readable, signal: AbortSignal | undefined): Promise<void> {
  const changed = Promise.withResolvers<void>();
  const onChange = (): void => changed.resolve();
  const onAbort = (): void => changed.reject(signal?.reason);
  for (const event of ["readable", "end", "close", "error"]) stream.on(event, onChange);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await changed.promise;
  } finally {
    for (const event of ["readable", "end", "close", "error"]) stream.off(event, onChange);
    signal?.removeEventListener("abort", onAbort);
  }
}
