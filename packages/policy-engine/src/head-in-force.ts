import { sha256Hex } from "@sallyport/identity";
import { Head } from "@sallyport/proto/policy";

/** A verified head, ready to be asked. Digests are lower-case hexadecimal. */
export interface HeadInForce {
  readonly head: Head;
  readonly digest: string;
  /** Version by digest of every slice in force. */
  readonly slices: ReadonlyMap<string, number>;
  readonly denyListDigest: string;
}

export function readHead(payload: Buffer): HeadInForce {
  const head = Head.decode(payload);
  const slices = head.slices.map(({ digest, version }): [string, number] => [hex(digest), version]);
  return { head, digest: sha256Hex(payload), slices: new Map(slices), denyListDigest: hex(head.denyListDigest) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
