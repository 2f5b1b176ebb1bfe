import { IdentityError, type Svid, checkLeaf, verifySignature } from "@sallyport/identity";
import { SignedBlock } from "@sallyport/proto/audit";
import { signBlock, signedBytes } from "./block.ts";

/**
 * A block of this identity as it goes out now: signed again when the SVID was renewed since it was written, because the receiver
 * believes only a certificate that is valid when it receives, and a spool may wait for days.
 * Null when the bytes are no block that this identity signed.
 */
export function freshlySigned(bytes: Buffer, svid: Svid): SignedBlock | null {
  const signed = decode(bytes);
  const leaf = signed?.certificateChain[0];
  const currentLeaf = svid.certificateChain[0];
  if (signed === null || leaf === undefined || currentLeaf === undefined) return null;
  if (leaf.equals(currentLeaf)) return signed;
  return isSignedBy(svid.identity.id.uri, leaf, signed) ? signBlock(signed.block, svid) : null;
}

function decode(bytes: Buffer): SignedBlock | null {
  try {
    return SignedBlock.decode(bytes);
  } catch {
    return null;
  }
}

function isSignedBy(uri: string, leaf: Buffer, signed: SignedBlock): boolean {
  try {
    const facts = checkLeaf(leaf);
    return facts.identity.id.uri === uri && verifySignature(facts.spki, signedBytes(signed.block), signed.signature);
  } catch (error) {
    if (error instanceof IdentityError) return false;
    throw error;
  }
}
