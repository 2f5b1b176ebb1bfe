import type { TLSSocket } from "node:tls";
import { MtlsError } from "@sallyport/mtls";
import { TunnelError } from "@sallyport/tunnel";
import { ConnectorError } from "../errors.ts";
import {
  bindingKey,
  checkBinding,
  encodeBinding,
  maxBindingBytes,
  type CircuitBelief,
  type CircuitRole,
} from "./binding.ts";

/**
 * Both ends say what they believe the circuit to be, at once, before anything else. Resolves with what arrived behind the other's
 * binding. Throws BINDING_MISMATCH, or HANDSHAKE_FAILED when the other end goes away first.
 */
export async function exchangeBindings(
  socket: TLSSocket,
  role: CircuitRole,
  belief: CircuitBelief,
  signal: AbortSignal,
): Promise<Buffer> {
  const key = bindingKey(socket);
  socket.write(encodeBinding(key, role, belief));
  const { message, rest } = await readBinding(socket, signal);
  checkBinding(message, key, role === "dialer" ? "host" : "dialer", belief);
  return rest;
}

interface FirstMessage {
  readonly message: Buffer;
  readonly rest: Buffer;
}

async function readBinding(socket: TLSSocket, signal: AbortSignal): Promise<FirstMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<FirstMessage>();
  let held = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    held = Buffer.concat([held, chunk]);
    if (held.length < 4) return;
    const length = held.readUInt32BE(0);
    if (length > maxBindingBytes) {
      reject(new ConnectorError({ code: "BINDING_MISMATCH", message: "The circuit did not begin with a binding." }));
    } else if (held.length >= 4 + length) {
      // Paused at once: what comes now waits for the circuit's own reader. Several records can arrive within one turn.
      socket.pause();
      resolve({ message: held.subarray(4, 4 + length), rest: held.subarray(4 + length) });
    }
  };
  const onGone = (cause?: Error): void => reject(handshakeFailure(cause));
  const onAbort = (): void => reject(signal.reason);
  const onEnd = (): void => onGone();
  signal.throwIfAborted();
  if (socket.destroyed) onEnd();
  socket.on("data", onData).on("error", onGone).on("end", onEnd).on("close", onEnd);
  signal.addEventListener("abort", onAbort);
  try {
    return await promise;
  } finally {
    socket.pause().off("data", onData).off("error", onGone).off("end", onEnd).off("close", onEnd);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Why the two ends did not come to a proven, bound circuit. */
export function handshakeFailure(cause: unknown): ConnectorError {
  if (cause instanceof ConnectorError) return cause;
  const known = cause instanceof MtlsError || cause instanceof TunnelError;
  return new ConnectorError({
    code: "HANDSHAKE_FAILED",
    message: `The other end of the circuit did not prove who it is: ${known ? cause.message : "it went away during the handshake."}`,
    cause,
  });
}
