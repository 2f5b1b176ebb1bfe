import { createHmac, timingSafeEqual } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { CircuitBinding } from "@sallyport/proto/tunnel";
import { ConnectorError } from "../errors.ts";

/** What one end believes the circuit to be. */
export interface CircuitBelief {
  readonly service: string;
  /** The dialer's 16 random bytes. */
  readonly nonce: Uint8Array;
  /** By which the router decided. */
  readonly sliceVersion: number;
}

export type CircuitRole = "dialer" | "host";

const exporterLabel = "EXPORTER-sallyport-circuit/1";
const exporterBytes = 32;
/** A binding is about 100 bytes. */
export const maxBindingBytes: number = 512;

/** 32 bytes that only the two ends of this TLS session know (RFC 8446, section 7.5). */
export function bindingKey(socket: TLSSocket): Buffer {
  return socket.exportKeyingMaterial(exporterBytes, exporterLabel, Buffer.alloc(0));
}

/** The first bytes of an end: uint32 big-endian length, then `sallyport.tunnel.v1.CircuitBinding`. */
export function encodeBinding(key: Uint8Array, role: CircuitRole, belief: CircuitBelief): Buffer {
  const message = CircuitBinding.encode({
    service: belief.service,
    circuitNonce: Buffer.from(belief.nonce),
    sliceVersion: belief.sliceVersion,
    mac: mac(key, role, belief),
  }).finish();
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}

/**
 * Holds the other end's binding against what this end believes. The MAC is computed from our own belief, so that the fields of the
 * message only serve to say what differs. Throws BINDING_MISMATCH.
 */
export function checkBinding(message: Uint8Array, key: Uint8Array, role: CircuitRole, belief: CircuitBelief): void {
  const theirs = decode(message);
  const differs = difference(theirs, belief);
  const expected = mac(key, role, belief);
  const proven = theirs.mac.length === expected.length && timingSafeEqual(theirs.mac, expected);
  if (differs === undefined && proven) return;
  throw new ConnectorError({
    code: "BINDING_MISMATCH",
    message: `The ${role} believes this circuit to be another one (${differs ?? "its proof does not fit this TLS session"}): a router joined two ends that did not ask for each other.`,
    remedy: "Treat the router as faulty or hostile; the audit record names it.",
  });
}

function mac(key: Uint8Array, role: CircuitRole, belief: CircuitBelief): Buffer {
  const service = Buffer.from(belief.service);
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(service.length);
  const version = Buffer.allocUnsafe(8);
  version.writeBigUInt64BE(BigInt(belief.sliceVersion));
  return createHmac("sha256", key)
    .update(role)
    .update(Buffer.of(0))
    .update(length)
    .update(service)
    .update(belief.nonce)
    .update(version)
    .digest();
}

function decode(message: Uint8Array): CircuitBinding {
  try {
    return CircuitBinding.decode(message);
  } catch (cause) {
    throw new ConnectorError({ code: "BINDING_MISMATCH", message: "The circuit did not begin with a binding.", cause });
  }
}

function difference(theirs: CircuitBinding, ours: CircuitBelief): string | undefined {
  if (theirs.service !== ours.service) return "another service";
  if (!theirs.circuitNonce.equals(ours.nonce)) return "another circuit nonce";
  if (theirs.sliceVersion !== ours.sliceVersion)
    return `slice version ${theirs.sliceVersion}, not ${ours.sliceVersion}`;
  return undefined;
}
