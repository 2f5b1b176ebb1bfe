import { createHash } from "node:crypto";
import { DenyList, type Head, type Slice, type SliceRef } from "@sallyport/proto/policy";
import { encodeSlice } from "./compile-policy.ts";

/** The bytes that are signed and whose digest the head carries. */
export function encodeDenyList(list: DenyList): Uint8Array {
  return DenyList.encode(list).finish();
}

/** The head that puts these slices and this deny-list in force. */
export function createHead(input: {
  readonly sequence: number;
  readonly timeUnixMs: number;
  readonly policyVersion: number;
  readonly slices: ReadonlyMap<string, Slice>;
  readonly denyList: DenyList;
}): Head {
  const { sequence, timeUnixMs, policyVersion, denyList } = input;
  const slices = [...input.slices.values()].map((slice): SliceRef & { readonly digest: Buffer } => ({
    version: slice.version,
    digest: digest(encodeSlice(slice)),
  }));
  return {
    sequence,
    timeUnixMs,
    slices: slices.toSorted((a, b) => a.digest.compare(b.digest)),
    denyListVersion: denyList.version,
    denyListDigest: digest(encodeDenyList(denyList)),
    policyVersion,
  };
}

function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
