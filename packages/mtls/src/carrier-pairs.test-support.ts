import { once } from "node:events";
import { connect, createServer } from "node:net";
import { duplexPair, type Duplex } from "node:stream";

export type CarrierPair = readonly [near: Duplex, far: Duplex];

/** Two ends of one TCP connection on loopback. */
export async function tcpPair(): Promise<CarrierPair> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a listening server has a port");
  const accepted = once(server, "connection");
  const near = connect(address.port, "127.0.0.1");
  const [far] = await accepted;
  server.close();
  return [near, far];
}

/** The kinds of carrier that TLS runs over here: the network, and a stream inside a tunnel. */
export const carrierKinds: readonly { readonly carrier: string; readonly pair: () => Promise<CarrierPair> }[] = [
  { carrier: "TCP", pair: tcpPair },
  { carrier: "a plain Duplex", pair: async () => duplexPair() },
];
