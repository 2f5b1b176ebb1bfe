import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { encodeGoaway } from "@sallyport/frame";

/** Says why in the only word that a peer understands before HELLO. */
export function turnAway(socket: TLSSocket, wireCode: number): void {
  socket.on("error", () => undefined);
  socket.end(encodeGoaway(wireCode));
  socket.resume();
  void once(socket, "close", { signal: AbortSignal.timeout(1_000) }).catch(() => socket.destroy());
}
