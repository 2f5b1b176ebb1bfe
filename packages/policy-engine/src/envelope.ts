import {
  sign,
  verifyChain,
  verifySignature,
  type Svid,
  type TrustBundle,
  type VerifiedChain,
} from "@sallyport/identity";
import type { SignedEnvelope } from "@sallyport/proto/policy";
import { PolicyError } from "./policy-error.ts";

/** What an envelope can carry (SignedEnvelope.payload_type of policy.proto). */
export const SLICE_TYPE = "sallyport.policy.v1.Slice";
export const DENY_LIST_TYPE = "sallyport.policy.v1.DenyList";
export const HEAD_TYPE = "sallyport.policy.v1.Head";

export type PayloadType = typeof SLICE_TYPE | typeof DENY_LIST_TYPE | typeof HEAD_TYPE;

export interface OpenedEnvelope {
  readonly payloadType: PayloadType;
  readonly payload: Buffer;
  readonly signer: VerifiedChain;
}

const DOMAIN = Buffer.from("sallyport-envelope/1\0", "latin1");
/** One message of the bus and of the built-in stream `sallyport.policy`. */
const MAX_ENVELOPE_PAYLOAD_BYTES = 1_048_576;
const MAX_CHAIN_CERTIFICATES = 3;

export function sealEnvelope(payloadType: PayloadType, payload: Uint8Array, svid: Svid): SignedEnvelope {
  return {
    payloadType,
    payload: Buffer.from(payload),
    certificateChain: [...svid.certificateChain],
    signature: sign(svid.privateKey, signedBytes(payloadType, payload)),
  };
}

/**
 * Verifies who signed before a byte of the payload is read.
 * @throws {PolicyError} ENVELOPE_INVALID, SIGNER_UNTRUSTED, SIGNER_FORBIDDEN
 */
export function openEnvelope(envelope: SignedEnvelope, bundle: TrustBundle, at: Date): OpenedEnvelope {
  const { payloadType, payload, certificateChain, signature } = envelope;
  if (!isPayloadType(payloadType)) throw new PolicyError("ENVELOPE_INVALID", "the envelope's payload type is unknown");
  if (payload.length > MAX_ENVELOPE_PAYLOAD_BYTES)
    throw new PolicyError("ENVELOPE_INVALID", "the envelope is too large");
  if (certificateChain.length === 0 || certificateChain.length > MAX_CHAIN_CERTIFICATES) {
    throw new PolicyError("ENVELOPE_INVALID", `the envelope carries ${certificateChain.length} certificates`);
  }
  const signer = verifySigner(certificateChain, bundle, at);
  const { identity } = signer;
  if (identity.kind !== "service" || identity.name !== "policy" || identity.id.trustDomain !== bundle.trustDomain) {
    throw new PolicyError("SIGNER_FORBIDDEN", `${identity.id.uri} may not sign policy`);
  }
  if (!verifySignature(signer.spki, signedBytes(payloadType, payload), signature)) {
    throw new PolicyError("ENVELOPE_INVALID", "the envelope's signature is not by its certificate's key");
  }
  return { payloadType, payload: Buffer.from(payload), signer };
}

function verifySigner(chain: readonly Uint8Array[], bundle: TrustBundle, at: Date): VerifiedChain {
  try {
    return verifyChain(chain, bundle, at);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "its certificates do not verify";
    throw new PolicyError("SIGNER_UNTRUSTED", `the envelope's signer is not trusted: ${why}`, { cause });
  }
}

function signedBytes(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([DOMAIN, length, type, payload]);
}

function isPayloadType(type: string): type is PayloadType {
  return type === SLICE_TYPE || type === DENY_LIST_TYPE || type === HEAD_TYPE;
}
