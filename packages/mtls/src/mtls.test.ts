import { once } from "node:events";
import { connect as connectTcp, createServer } from "node:net";
import { duplexPair, type Duplex } from "node:stream";
import { routerId, workloadId, RotatingSvid, type SvidSource, type TrustBundle } from "@sallyport/identity";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { connectMtls, createMtlsServer, type Accepted, type MtlsServerOptions, type Peer } from "./index.ts";

const alpn = "sallyport/1";

async function tcpPair(): Promise<[Duplex, Duplex]> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const accepted = once(server, "connection");
  const near = connectTcp(address.port, "127.0.0.1");
  const [far] = await accepted;
  server.close();
  return [near, far];
}

const carriers: readonly { readonly carrier: string; readonly pair: () => Promise<[Duplex, Duplex]> }[] = [
  { carrier: "TCP", pair: tcpPair },
  { carrier: "a plain Duplex", pair: async () => duplexPair() },
];

let a: TestAuthority;
let router: RotatingSvid;
let agent: RotatingSvid;

beforeAll(async () => {
  a = await createTestAuthority("a.org");
  router = await a.source(routerId("a.org", "r1"));
  agent = await a.source(workloadId("a.org", "agent", "one"));
});

describe.each(carriers)("over $carrier", ({ pair }) => {
  async function shake(client: SvidSource | null, serverOptions: Partial<MtlsServerOptions> = {}, trust?: TrustBundle): Promise<{ server: PromiseSettledResult<Accepted>; client: PromiseSettledResult<{ peer: Peer }> }> {
    const [near, far] = await pair();
    await using listener = createMtlsServer({ identity: router, alpn: [alpn], clientCertificate: "required", ...serverOptions });
    const [server, dialed] = await Promise.allSettled([
      listener.accept(far),
      connectMtls({ carrier: near, identity: client, trust: trust ?? a.bundle, alpn, expect: () => true }),
    ]);
    return { server, client: dialed };
  }

  test("two SVIDs of one trust domain prove each other", async () => {
    const { server, client } = await shake(agent);
    expect(server).toMatchObject({ status: "fulfilled", value: { peer: { identity: { kind: "workload", name: "agent" }, anchor: "bundle", tlsGroup: "X25519MLKEM768" } } });
    expect(client).toMatchObject({ status: "fulfilled", value: { peer: { identity: { kind: "router", name: "r1" }, tlsGroup: "X25519MLKEM768" } } });
  });
});
