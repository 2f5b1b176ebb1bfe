/**
 * Reads the ALPN names of a TLS ClientHello (RFC 8446, section 4.1.2; RFC 7301) from the first bytes of a connection, without consuming them.
 * The public port uses it only to choose who speaks TLS next: nothing here is trusted, and nothing here decides about an identity.
 */

export type ClientHelloPeek =
  /** Ask again once at least `bytesNeeded` bytes are there. */
  | { readonly kind: "incomplete"; readonly bytesNeeded: number }
  | { readonly kind: "hello"; readonly alpn: readonly string[] }
  | { readonly kind: "invalid"; readonly reason: string };

/** Bytes of a ClientHello, record headers included. One with a hybrid key share is about 1,800 bytes. */
export const maxClientHelloBytes = 16_384;

const recordHeaderBytes = 5;
const handshakeHeaderBytes = 4;
const handshakeRecord = 22;
const clientHelloMessage = 1;
const alpnExtension = 16;

export function peekClientHello(bytes: Buffer): ClientHelloPeek {
  const message = joinRecords(bytes);
  if (message.kind !== "message") return message;
  const names = readAlpn(message.body);
  return names === null ? { kind: "invalid", reason: "malformed ClientHello" } : { kind: "hello", alpn: names };
}

type JoinedMessage = { readonly kind: "message"; readonly body: Buffer } | Exclude<ClientHelloPeek, { kind: "hello" }>;

/** The handshake message's body, put together from one or more records. */
function joinRecords(bytes: Buffer): JoinedMessage {
  const fragments: Buffer[] = [];
  let joinedBytes = 0;
  let at = 0;
  for (;;) {
    if (bytes.length >= 1 + at && bytes[at] !== handshakeRecord) return { kind: "invalid", reason: "not TLS" };
    if (bytes.length < at + recordHeaderBytes) return incomplete(at + recordHeaderBytes);
    if (bytes[at + 1] !== 3) return { kind: "invalid", reason: "not TLS" };
    const recordBytes = bytes.readUInt16BE(at + 3);
    // Zero-length fragments of handshake records are forbidden (RFC 8446, section 5.1).
    if (recordBytes === 0) return { kind: "invalid", reason: "empty TLS record" };
    const end = at + recordHeaderBytes + recordBytes;
    if (bytes.length < end) return incomplete(end);
    fragments.push(bytes.subarray(at + recordHeaderBytes, end));
    joinedBytes += recordBytes;
    at = end;
    if (joinedBytes < handshakeHeaderBytes) continue;
    const joined = fragments.length === 1 ? (fragments[0] ?? Buffer.alloc(0)) : Buffer.concat(fragments);
    if (joined[0] !== clientHelloMessage) return { kind: "invalid", reason: "not a ClientHello" };
    const bodyBytes = joined.readUIntBE(1, 3);
    if (bodyBytes > maxClientHelloBytes) return { kind: "invalid", reason: "ClientHello too long" };
    if (joinedBytes >= handshakeHeaderBytes + bodyBytes) {
      return { kind: "message", body: joined.subarray(handshakeHeaderBytes, handshakeHeaderBytes + bodyBytes) };
    }
  }
}

function incomplete(bytesNeeded: number): JoinedMessage {
  return bytesNeeded > maxClientHelloBytes
    ? { kind: "invalid", reason: "ClientHello too long" }
    : { kind: "incomplete", bytesNeeded };
}

/** ALPN names in the client's order, none when it sends none; null when a length runs over its container. */
function readAlpn(body: Buffer): readonly string[] | null {
  const reader = new Reader(body);
  reader.skip(2 + 32);
  reader.skip(reader.uint(1));
  reader.skip(reader.uint(2));
  reader.skip(reader.uint(1));
  const extensions = new Reader(reader.take(reader.uint(2)));
  while (!reader.overrun && !extensions.overrun && extensions.remaining > 0) {
    const type = extensions.uint(2);
    const content = extensions.take(extensions.uint(2));
    if (type === alpnExtension && !extensions.overrun) return readNames(content);
  }
  return reader.overrun || extensions.overrun ? null : [];
}

function readNames(content: Buffer): readonly string[] | null {
  const list = new Reader(content);
  const names: string[] = [];
  if (list.uint(2) !== list.remaining) return null;
  while (!list.overrun && list.remaining > 0) names.push(list.take(list.uint(1)).toString("latin1"));
  return list.overrun ? null : names;
}

/** A cursor that remembers an overrun instead of throwing: hostile bytes are ordinary here. */
class Reader {
  overrun = false;
  #at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  uint(width: 1 | 2): number {
    const taken = this.take(width);
    return taken.length === width ? taken.readUIntBE(0, width) : 0;
  }

  take(count: number): Buffer {
    if (count > this.remaining) {
      this.overrun = true;
      return Buffer.alloc(0);
    }
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  skip(count: number): void {
    this.take(count);
  }
}
