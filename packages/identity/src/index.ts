export { readCertificate } from "./certificate.ts";
export type { Certificate, Extension } from "./certificate.ts";
export { isIssuedBy, verifyChain } from "./chain.ts";
export type { VerifiedChain } from "./chain.ts";
export { createCsr, verifyCsr } from "./csr.ts";
export { sha256Hex } from "./digest.ts";
export { IdentityError } from "./errors.ts";
export type { IdentityErrorCode } from "./errors.ts";
export { adminId, busId, identityOf, isName, routerId, serviceId, trustDomainId, workloadId } from "./identity.ts";
export type { Identity } from "./identity.ts";
export { createIntermediate, createRoot, issueLeaf } from "./issue.ts";
export type { Issuer } from "./issue.ts";
export {
  generateKeyPair,
  openPrivateKey,
  publicKeyOf,
  sealPrivateKey,
  sign,
  spkiOf,
  thumbprint,
  verifySignature,
} from "./keys.ts";
export { checkLeaf } from "./leaf.ts";
export type { LeafFacts } from "./leaf.ts";
export { keyUsageBits, oids } from "./oids.ts";
export { derOf, pemOf } from "./pem.ts";
export { checkTrustDomain, parseSpiffeId } from "./spiffe-id.ts";
export type { SpiffeId } from "./spiffe-id.ts";
export { createSvid, RotatingSvid } from "./svid.ts";
export type { Svid, SvidSource } from "./svid.ts";
export { rootFingerprint, trustBundle } from "./trust-bundle.ts";
export type { TrustBundle } from "./trust-bundle.ts";
