/**
 * A reader for the DER that we must agree about with OpenSSL: definite, minimal lengths, single-byte tags, nothing left over.
 * What BER would also allow is refused, so that no certificate has a second reading.
 */
import { IdentityError } from "./errors.ts";

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

export interface Element {
  readonly tag: number;
  readonly value: Buffer;
  /** With its header. */
  readonly encoding: Buffer;
}

/** Reads elements one after the other. */
export class DerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  peekTag(): number | null {
    return this.#bytes[this.#at] ?? null;
  }

  /** The next element, which must have this tag. */
  read(tag: number): Element {
    const start = this.#at;
    if (this.#byte() !== tag) throw malformed(`expected tag 0x${tag.toString(16)}`);
    const length = this.#length();
    const valueStart = this.#at;
    if (length > this.#bytes.length - valueStart) throw malformed("a length points beyond the end");
    this.#at = valueStart + length;
    return { tag, value: this.#bytes.subarray(valueStart, this.#at), encoding: this.#bytes.subarray(start, this.#at) };
  }

  /** The next element if it has this tag, else null. */
  readOptional(tag: number): Element | null {
    return this.peekTag() === tag ? this.read(tag) : null;
  }

  /** A reader over the content of the next element. */
  enter(tag: number): DerReader {
    return new DerReader(this.read(tag).value);
  }

  end(): void {
    if (!this.atEnd) throw malformed("there are bytes after the end");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw malformed("it ends early");
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw malformed("a length is indefinite or too long");
    let length = 0;
    for (let index = 0; index < count; index += 1) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1)) throw malformed("a length is not minimal");
    return length;
  }
}

/** One element around the concatenated parts. Up to 65,535 bytes. */
export function encode(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), value]);
  if (length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, length), value]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), value]);
}

/** Dotted form of an OBJECT IDENTIFIER's content. */
export function oidOf(value: Buffer): string {
  const last = value.at(-1);
  if (last === undefined || last >= 0x80) throw malformed("an object identifier is cut");
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of value) {
    if (arc === 0 && byte === 0x80) throw malformed("an object identifier is not minimal");
    arc = arc * 128 + (byte & 0x7f);
    if (arc > 0xff_ff_ff_ff) throw malformed("an object identifier is too big");
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [first = 0, ...others] = arcs;
  const root = Math.min(Math.floor(first / 40), 2);
  return [root, first - root * 40, ...others].join(".");
}

/** A non-negative INTEGER's magnitude in lower-case hexadecimal of whole bytes. */
export function unsignedHexOf(value: Buffer): string {
  const [first, second] = value;
  if (first === undefined || first >= 0x80) throw malformed("an integer is empty or negative");
  if (first === 0 && second !== undefined && second < 0x80) throw malformed("an integer is not minimal");
  return (first === 0 && second !== undefined ? value.subarray(1) : value).toString("hex");
}

/** BOOLEAN in DER: 0x00 or 0xff. */
export function booleanOf(value: Buffer): boolean {
  if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) throw malformed("a boolean is neither 00 nor ff");
  return value[0] === 0xff;
}

/** UTCTime (two-digit years, 1950 to 2049) or GeneralizedTime, both in the one form of RFC 5280 §4.1.2.5. */
export function timeOf(element: Element): Date {
  const text = element.value.toString("latin1");
  const digits = element.tag === tags.utcTime && /^\d{12}Z$/.test(text) ? century(text) + text : text;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (parts === null) throw malformed("a time is not in the form of RFC 5280");
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number);
  const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  if (time.toISOString().replaceAll(/[-:T]|\.000/g, "") !== digits) throw malformed("a time does not exist");
  return time;
}

function century(utcTime: string): string {
  return Number(utcTime.slice(0, 2)) >= 50 ? "19" : "20";
}

export function malformed(why: string): IdentityError {
  return new IdentityError("CERTIFICATE_MALFORMED", `The DER cannot be read: ${why}.`);
}
