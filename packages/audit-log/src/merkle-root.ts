import { createHash } from "node:crypto";

const LEAF_PREFIX = Buffer.of(0x00);
const NODE_PREFIX = Buffer.of(0x01);

/** The Merkle Tree Hash of RFC 6962 section 2.1 over `leaves` in order, with SHA-256; 32 bytes. */
export function merkleRoot(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return createHash("sha256").digest();
  let level: Buffer[] = leaves.map((leaf) => createHash("sha256").update(LEAF_PREFIX).update(leaf).digest());
  // Pairing neighbours and carrying an odd last node up gives the same tree as the RFC's split at the largest power of two.
  while (level.length > 1) level = parentsOf(level);
  return level[0] ?? createHash("sha256").digest();
}

function parentsOf(level: readonly Buffer[]): Buffer[] {
  const parents: Buffer[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const left = level[index];
    const right = level[index + 1];
    if (left === undefined) break;
    parents.push(
      right === undefined ? left : createHash("sha256").update(NODE_PREFIX).update(left).update(right).digest(),
    );
  }
  return parents;
}
