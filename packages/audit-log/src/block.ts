import { createHash } from "node:crypto";
import { type Svid, sign } from "@sallyport/identity";
import { Block, type SignedBlock } from "@sallyport/proto/audit";
import { merkleRoot } from "./merkle-root.ts";

/** What stands before a block's bytes under its signature, so that it is no signature of anything else. */
const SIGNATURE_CONTEXT = Buffer.from("sallyport-audit-block/1\0", "latin1");

/** `Block.previous` of the first block of an epoch. */
export const NO_PREVIOUS: Buffer = Buffer.alloc(32);

/** The bytes under a block's signature. */
export function signedBytes(block: Uint8Array): Buffer {
  return Buffer.concat([SIGNATURE_CONTEXT, block]);
}

/** SHA-256 of the encoded block: what the next block's `previous` holds; 32 bytes. */
export function blockHash(block: Uint8Array): Buffer {
  return createHash("sha256").update(block).digest();
}

/** One run of encoded events as the bytes of a Block. */
export function packBlock(run: {
  readonly epoch: string;
  readonly number: number;
  readonly previous: Buffer;
  readonly events: readonly Buffer[];
  readonly timeUnixMs: number;
}): Buffer {
  const block: Block = { ...run, events: [...run.events], merkleRoot: merkleRoot(run.events) };
  return Buffer.from(Block.encode(block).finish());
}

/** Signs encoded block bytes. Signing the same bytes again under a renewed SVID changes nothing of the hash chain. */
export function signBlock(block: Buffer, svid: Svid): SignedBlock {
  return {
    block,
    certificateChain: svid.certificateChain.map((certificate) => Buffer.from(certificate)),
    signature: sign(svid.privateKey, signedBytes(block)),
  };
}

/** The block's name on the bus (`Nats-Msg-Id`) and in the store. */
export function blockId(emitterId: string, epoch: string, number: number): string {
  return `${emitterId}:${epoch}:${number}`;
}
