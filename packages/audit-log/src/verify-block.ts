import { IdentityError, type TrustBundle, type VerifiedChain, verifyChain, verifySignature } from "@sallyport/identity";
import { Block, Event, type SignedBlock } from "@sallyport/proto/audit";
import { signedBytes } from "./block.ts";
import { AuditLogError } from "./errors.ts";
import { assertEvent } from "./assert-event.ts";
import { EPOCH_PATTERN, MAX_BLOCK_BYTES, MAX_BLOCK_EVENTS, MAX_EVENT_BYTES, MAX_TIME_UNIX_MS } from "./limits.ts";
import { merkleRoot } from "./merkle-root.ts";

export interface VerifiedBlock {
  readonly block: Block;
  readonly events: readonly Event[];
  readonly signer: VerifiedChain;
}

/**
 * Believes a block only after: its signer's chain leads to the bundle at `at`, the signature covers exactly these bytes, the events are
 * those under the root, and every event keeps the caps. Cheap bounds come before any cryptography.
 * `emitter_id` of the returned events is the signer's.
 * @throws {AuditLogError}
 */
export function verifyBlock(signed: SignedBlock, bundle: TrustBundle, at: Date): VerifiedBlock {
  if (signed.block.length === 0 || signed.block.length > MAX_BLOCK_BYTES * 2) {
    throw new AuditLogError(
      "BLOCK_LIMIT_EXCEEDED",
      `A block has 1 to ${MAX_BLOCK_BYTES * 2} bytes, this one ${signed.block.length}`,
    );
  }
  const signer = verifySigner(signed, bundle, at);
  const block = decodeBlock(signed.block);
  if (!merkleRoot(block.events).equals(block.merkleRoot)) {
    throw new AuditLogError("MERKLE_ROOT_MISMATCH", "The events are not those under the signed root");
  }
  const events = block.events.map((bytes, index) => decodeEvent(bytes, index, at));
  for (const event of events) event.emitterId = signer.identity.id.uri;
  return { block, events, signer };
}

function verifySigner(signed: SignedBlock, bundle: TrustBundle, at: Date): VerifiedChain {
  const signer = verifiedChain(signed, bundle, at);
  if (!verifySignature(signer.spki, signedBytes(signed.block), signed.signature)) {
    throw new AuditLogError(
      "SIGNATURE_INVALID",
      `The signature is not that of ${signer.identity.id.uri} over this block`,
    );
  }
  return signer;
}

function verifiedChain(signed: SignedBlock, bundle: TrustBundle, at: Date): VerifiedChain {
  try {
    return verifyChain(signed.certificateChain, bundle, at);
  } catch (cause) {
    const reason = cause instanceof IdentityError ? `${cause.code}: ${cause.message}` : "the chain cannot be read";
    throw new AuditLogError("SIGNER_UNTRUSTED", `The block's signer is not trusted (${reason})`, { cause });
  }
}

function decodeBlock(bytes: Buffer): Block {
  let block: Block;
  try {
    block = Block.decode(bytes);
  } catch (cause) {
    throw new AuditLogError("BLOCK_MALFORMED", "The signed bytes are not a Block", { cause });
  }
  if (!EPOCH_PATTERN.test(block.epoch)) throw malformed("epoch", "32 lower-case hexadecimal digits");
  if (!Number.isSafeInteger(block.number) || block.number < 1) throw malformed("number", "a whole number from 1");
  if (block.previous.length !== 32) throw malformed("previous", "32 bytes");
  if (!(block.timeUnixMs >= 0 && block.timeUnixMs <= MAX_TIME_UNIX_MS))
    throw malformed("time_unix_ms", "a time before the year 2200");
  if (block.events.length === 0 || block.events.length > MAX_BLOCK_EVENTS) {
    throw new AuditLogError(
      "BLOCK_LIMIT_EXCEEDED",
      `A block has 1 to ${MAX_BLOCK_EVENTS} events, this one ${block.events.length}`,
    );
  }
  return block;
}

function malformed(field: string, expected: string): AuditLogError {
  return new AuditLogError("BLOCK_MALFORMED", `\`${field}\` of a block is ${expected}`, { field });
}

function decodeEvent(bytes: Buffer, index: number, at: Date): Event {
  if (bytes.length > MAX_EVENT_BYTES) {
    throw new AuditLogError(
      "BLOCK_LIMIT_EXCEEDED",
      `Event ${index} has ${bytes.length} bytes, at most ${MAX_EVENT_BYTES} are allowed`,
    );
  }
  let event: Event;
  try {
    event = Event.decode(bytes);
  } catch (cause) {
    throw new AuditLogError("EVENT_INVALID", `Event ${index} is not an Event`, { cause });
  }
  assertEvent(event, at);
  return event;
}
