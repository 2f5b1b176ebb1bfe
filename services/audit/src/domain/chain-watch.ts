import { NO_PREVIOUS, blockHash } from "@sallyport/audit-log";
import type { AdmittedBlock } from "./admit-block.ts";

/** What is known of an epoch's hash chain: its newest block. */
export interface ChainHead {
  readonly number: number;
  /** 32 bytes. */
  readonly hash: Buffer;
}

/** Something about a chain that an honest emitter on an honest path does not cause. */
export type ChainFinding =
  /** Blocks `first` to `last` never came. */
  | { readonly kind: "gap"; readonly first: number; readonly last: number }
  /** The block names another predecessor than the one on record. */
  | { readonly kind: "previous_mismatch" }
  /** The block came after a later one of its chain. */
  | { readonly kind: "late"; readonly head: number };

/** How a block continues its chain, given the newest block on record before it (null: none). */
export function watchChain(
  head: ChainHead | null,
  block: Pick<AdmittedBlock, "number" | "previous" | "signed">,
): { readonly head: ChainHead; readonly finding: ChainFinding | null } {
  const next: ChainHead = { number: block.number, hash: blockHash(block.signed.block) };
  const expected = (head?.number ?? 0) + 1;
  if (head !== null && block.number < expected) return { head, finding: { kind: "late", head: head.number } };
  if (block.number > expected) return { head: next, finding: { kind: "gap", first: expected, last: block.number - 1 } };
  const isLinked = block.previous.equals(head?.hash ?? NO_PREVIOUS);
  return { head: next, finding: isLinked ? null : { kind: "previous_mismatch" } };
}
