import type { Tunnel, TunnelStream } from "@sallyport/tunnel";
import { StreamOpen } from "@sallyport/proto/tunnel";
import { refusalError } from "../errors.ts";

/** A stream to the router itself. Throws DIAL_REFUSED. */
export async function openBuiltIn(
  tunnel: Tunnel,
  service: "sallyport.policy" | "sallyport.audit" | "sallyport.enrollment",
  signal: AbortSignal,
): Promise<TunnelStream> {
  const result = await tunnel.openStream(StreamOpen.create({ service }), { signal });
  if (result.kind === "refused") throw refusalError("DIAL_REFUSED", `The router refused ${service}`, result.refusal);
  const { stream } = result;
  // Whoever reads or writes learns of it there.
  stream.on("error", () => undefined);
  return stream;
}
