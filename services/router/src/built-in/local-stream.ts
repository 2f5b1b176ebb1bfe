import { FrameType, encodeDataRun, encodeReset, encodeWindow } from "@sallyport/frame";
import { TunnelStream } from "@sallyport/tunnel";
import type { RouterTunnel } from "../domain/router-tunnel.ts";

/** A stream that a workload opened and that ends in this process: accepts it. */
export function acceptLocally(tunnel: RouterTunnel, streamId: number): TunnelStream {
  const stream = localStream(tunnel, streamId);
  tunnel.accept(streamId, { circuitId: "", sliceVersion: 0, decisionId: "", hostId: "" });
  return stream;
}

/** A stream that ends in this process, as a Duplex with the credit of any other stream. */
export function localStream(tunnel: RouterTunnel, streamId: number): TunnelStream {
  const { outlet } = tunnel;
  const stream = new TunnelStream(streamId, {
    get congested() {
      return outlet.congested;
    },
    pumpOnDrain: (waiting) => tunnel.whenDrained(() => waiting.pump()),
    sendData: (id, pieces, offset, payloadBytes) => outlet.forward(encodeDataRun(id, pieces, offset, payloadBytes)),
    sendWindow: (id, creditBytes) => outlet.forward(encodeWindow(id, creditBytes)),
    sendFin: (id) => outlet.writeFrame(FrameType.fin, 0, id),
    sendReset: (id, wireCode) => {
      outlet.dropStream(id);
      outlet.forward(encodeReset(id, wireCode));
    },
    forget: (id) => tunnel.release(id),
  });
  tunnel.place(streamId, { kind: "local", stream });
  return stream;
}
