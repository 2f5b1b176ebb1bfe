import { once } from "node:events";
import { createServer, connect } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { describe, test } from "vitest";
import { tunnelCompliance } from "./testing/tunnel-compliance.ts";
import { Tunnel } from "./tunnel.ts";
import type { CreateTunnel } from "./tunnel-endpoint.ts";

const create: CreateTunnel = (carrier, options) => new Tunnel(carrier, options);

async function tcpPair(): Promise<readonly [Duplex, Duplex]> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  const near = once(server, "connection");
  const far = connect(address.port, "127.0.0.1");
  const [accepted] = (await near) as [Duplex]; // net.Server's event.
  server.close();
  return [accepted, far];
}

describe("a Tunnel over a Duplex pair", () => {
  test.for(tunnelCompliance)("$title", ({ run }) => run({ create, carriers: async () => duplexPair() }));
});

describe("a Tunnel over TCP", () => {
  test.for(tunnelCompliance)("$title", ({ run }) => run({ create, carriers: tcpPair }));
});
