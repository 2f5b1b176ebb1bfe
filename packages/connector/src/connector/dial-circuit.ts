import { randomBytes } from "node:crypto";
import { StreamOpen } from "@sallyport/proto/tunnel";
import { TunnelError, type OpenResult } from "@sallyport/tunnel";
import type { Circuit } from "../circuit/circuit.ts";
import { openDialerEnd } from "../circuit/open-circuit.ts";
import { refusalError } from "../errors.ts";
import { nonceBytes } from "./incoming-circuit.ts";
import type { Uplink } from "./uplink.ts";

/** Asks the router for a host of `service` and makes the circuit to it. */
export async function dialCircuit(uplink: Uplink, service: string, signal: AbortSignal): Promise<Circuit> {
  uplink.want(service);
  const nonce = randomBytes(nonceBytes);
  const result = await openAccepted(uplink, service, nonce, signal);
  if (result.kind === "refused")
    throw refusalError("DIAL_REFUSED", `The dial to ${service} is refused`, result.refusal);
  const { stream: carrier, accept } = result;
  const { circuitId, sliceVersion, decisionId, hostId } = accept;
  const plan = { service, nonce, sliceVersion, circuitId, claimedPeerId: hostId, routerDecisionId: decisionId };
  return await openDialerEnd({ ...plan, carrier, policy: uplink.policy }, uplink.identity, signal);
}

/** Once more on the next tunnel when this one ends or drains meanwhile: nothing was accepted yet, so nothing can happen twice. */
async function openAccepted(
  uplink: Uplink,
  service: string,
  circuitNonce: Buffer,
  signal: AbortSignal,
): Promise<OpenResult> {
  const open = StreamOpen.create({ service, circuitNonce });
  const first = await uplink.current(signal);
  try {
    const result = await first.tunnel.openStream(open, { signal });
    if (result.kind === "accepted" || result.refusal.code !== "DRAINING") return result;
  } catch (error) {
    if (!(error instanceof TunnelError) || error.code !== "TUNNEL_ENDED") throw error;
  }
  const next = await uplink.after(first, signal);
  return await next.tunnel.openStream(open, { signal });
}
