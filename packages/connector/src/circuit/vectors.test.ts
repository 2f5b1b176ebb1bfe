import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkBinding, encodeBinding, type CircuitRole } from "./binding.ts";
import { RecordReader, type RecordFault } from "./record.ts";

interface BindingVector {
  readonly name: string;
  readonly key: string;
  readonly role: CircuitRole;
  readonly service: string;
  readonly nonce: string;
  readonly sliceVersion: number;
  readonly bytes: string;
}

interface RecordVector {
  readonly name: string;
  readonly bytes: string;
  readonly data: string;
  readonly ended: boolean;
  readonly reset?: number;
  readonly fault?: RecordFault;
}

function read<T>(file: string): readonly T[] {
  const folder = new URL("../../../../test/vectors/circuit/", import.meta.url);
  const vectors = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as readonly T[]; // Our own files.
  expect(vectors.length).toBeGreaterThan(5);
  return vectors;
}

test.for(read<BindingVector>("bindings.json"))("binding: $name", (vector) => {
  const key = Buffer.from(vector.key, "hex");
  const { role, service, sliceVersion } = vector;
  const belief = { service, nonce: Buffer.from(vector.nonce, "hex"), sliceVersion };
  const bytes = Buffer.from(vector.bytes, "hex");
  expect(encodeBinding(key, role, belief).toString("hex")).toBe(vector.bytes);
  checkBinding(bytes.subarray(4), key, role, belief);
  // The last 32 bytes are the proof; the fields before them only say what differs.
  for (let at = bytes.length - 32; at < bytes.length; at += 1) {
    const turned = Buffer.from(bytes);
    turned.writeUInt8(turned.readUInt8(at) ^ 1, at);
    expect(() => checkBinding(turned.subarray(4), key, role, belief)).toThrow("does not fit this TLS session");
  }
});

test.for(read<RecordVector>("records.json").flatMap((vector) => [1, 3, 65_536].map((size) => ({ ...vector, size }))))(
  "records: $name, in chunks of $size",
  ({ size, data, ended, reset, fault, ...vector }) => {
    const seen: { data: string; ended: boolean; reset: number | undefined } = {
      data: "",
      ended: false,
      reset: undefined,
    };
    const reader = new RecordReader({
      onData: (bytes) => (seen.data += bytes.toString("hex")),
      onEnd: () => (seen.ended = true),
      onReset: (code) => (seen.reset = code),
    });
    const bytes = Buffer.from(vector.bytes, "hex");
    let stopped: RecordFault | undefined;
    for (let at = 0; at < bytes.length && stopped === undefined; at += size)
      stopped = reader.push(bytes.subarray(at, at + size));
    expect({ ...seen, fault: stopped }).toStrictEqual({ data, ended, reset, fault });
  },
);
