import type { Tunnel, TunnelStream } from "@sallyport/tunnel";
import { refusalError } from "../errors.ts";

/** A stream to the router itself. Throws DIAL_REFUSED. */
export async function openBuiltIn(
  tunnel: Tunnel,
  service: "sallyport.policy" | "sallyport.audit" | "sallyport.enrollment",
  signal: AbortSignal,
): Promise<TunnelStream> {
  const open = { service, circuitNonce: Buffer.alloc(0), dialerId: "", sliceVersion: 0, decisionId: "", circuitId: "" };
  const result = await tunnel.openStream(open, { signal });
  if (result.kind === "refused") throw refusalError("DIAL_REFUSED", `The router refused ${service}`, result.refusal);
  const { stream } = result;
  // Whoever reads or writes learns of it there.
  stream.on("error", () => undefined);
  return stream;
}
