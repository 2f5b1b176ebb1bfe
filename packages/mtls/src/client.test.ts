import { createServer } from "node:tls";
import {
  generateKeyPair,
  oids,
  RotatingSvid,
  rootFingerprint,
  routerId,
  workloadId,
  type Identity,
  type SvidSource,
} from "@sallyport/identity";
import { createTestAuthority, forgeSvid, freePort, type TestAuthority } from "@sallyport/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { carrierKinds, tcpPair } from "./carrier-pairs.test-support.ts";
import { connectMtls, type ConnectOptions } from "./client.ts";
import { contextOptions } from "./secure-context.ts";
import { createMtlsServer } from "./server.ts";

const alpn = "sallyport/1";
let own: TestAuthority;
let rogue: TestAuthority;
let agent: RotatingSvid;

beforeAll(async () => {
  own = await createTestAuthority("a.org");
  rogue = await createTestAuthority("a.org");
  agent = await own.source(workloadId("a.org", "agent", "one"));
});

const router = routerId("a.org", "r1");
const isRouter = (identity: Identity): boolean => identity.kind === "router";

describe.each(carrierKinds)("a client over $carrier", ({ pair }) => {
  type Outcome = Awaited<ReturnType<typeof connectMtls>>;

  async function dial(
    server: SvidSource,
    options: Partial<ConnectOptions> & { readonly sendRoot?: boolean; readonly speaks?: string } = {},
  ): Promise<PromiseSettledResult<Outcome>> {
    const { sendRoot = false, speaks = alpn, ...clientOptions } = options;
    const [near, far] = await pair();
    await using listener = createMtlsServer({ identity: server, alpn: [speaks], clientCertificate: "none", sendRoot });
    // Who refuses as a client may leave the server waiting: it ends with the listener.
    listener.accept(far).catch(() => undefined);
    const [dialed] = await Promise.allSettled([
      connectMtls({ carrier: near, identity: agent, trust: own.bundle, alpn, expect: isRouter, ...clientOptions }),
    ]);
    if (dialed.status === "rejected") expect(near.destroyed).toBe(true);
    return dialed;
  }

  async function refusalOf(server: SvidSource, options: Parameters<typeof dial>[1] = {}): Promise<unknown> {
    const dialed = await dial(server, options);
    return dialed.status === "rejected" ? dialed.reason.code : "connected";
  }

  test("proves the server and knows the key agreement", async () => {
    expect(await dial(await own.source(router))).toMatchObject({
      value: { peer: { identity: { kind: "router", name: "r1" }, anchor: "bundle", tlsGroup: "X25519MLKEM768" } },
    });
  });

  test("refuses a root of the same name with another key", async () => {
    expect(await refusalOf(await rogue.source(router))).toBe("UNTRUSTED");
  });

  test("refuses an expired server", async () => {
    expect(await refusalOf(await own.source(router, { now: new Date(Date.now() - 86_400_000), ttlSeconds: 60 }))).toBe(
      "EXPIRED",
    );
  });

  test("refuses a server certificate that is for servers only", async () => {
    const svid = forgeSvid(own.intermediate, { uris: [router.uri], purposes: [oids.serverAuth] });
    expect(await refusalOf(new RotatingSvid(svid, own.bundle))).toBe("LEAF_INVALID");
  });

  test("refuses a proven server that it did not mean", async () => {
    expect(await refusalOf(agent)).toBe("IDENTITY_UNEXPECTED");
  });

  test("refuses a server that does not speak its protocol", async () => {
    expect(await refusalOf(await own.source(router), { speaks: "h2" })).toBe("ALPN_MISMATCH");
  });

  describe("that knows a fingerprint only", () => {
    const pinned = (): ConnectOptions["trust"] => ({
      rootFingerprint: rootFingerprint(own.root.certificate),
      trustDomain: "a.org",
    });

    test("proves the server by the root that it sends", async () => {
      const dialed = await dial(await own.source(router), { identity: null, trust: pinned(), sendRoot: true });
      expect(dialed).toMatchObject({ value: { peer: { identity: { kind: "router" } } } });
    });

    test("refuses another root", async () => {
      expect(await refusalOf(await rogue.source(router), { identity: null, trust: pinned(), sendRoot: true })).toBe(
        "UNTRUSTED",
      );
    });

    test("refuses a server that sends no root", async () => {
      expect(await refusalOf(await own.source(router), { identity: null, trust: pinned() })).toBe("UNTRUSTED");
    });

    test("refuses a chain that only borrows the pinned root", async () => {
      const svid = await rogue.issue(router);
      const borrowed = { ...svid, certificateChain: [...svid.certificateChain, own.root.certificate] };
      expect(await refusalOf(new RotatingSvid(borrowed, rogue.bundle), { identity: null, trust: pinned() })).toBe(
        "UNTRUSTED",
      );
    });

    test("refuses a leaf that bears the pinned root's name as its issuer but not its signature", async () => {
      const { privateKey } = generateKeyPair();
      const forged = forgeSvid({ certificate: own.root.certificate, privateKey }, { uris: [router.uri] });
      const server = new RotatingSvid(forged, own.bundle);
      expect(await refusalOf(server, { identity: null, trust: pinned() })).toBe("UNTRUSTED");
    });

    test("refuses another trust domain under the pinned root", async () => {
      const trust = { rootFingerprint: rootFingerprint(own.root.certificate), trustDomain: "b.org" };
      expect(await refusalOf(await own.source(router), { identity: null, trust, sendRoot: true })).toBe(
        "FOREIGN_TRUST_DOMAIN",
      );
    });

    test("refuses an expired server", async () => {
      const expired = await own.source(router, { now: new Date(Date.now() - 86_400_000), ttlSeconds: 60 });
      expect(await refusalOf(expired, { identity: null, trust: pinned(), sendRoot: true })).toBe("EXPIRED");
    });
  });

  test("gives up on a silent server, and at the signal", async () => {
    const options = { identity: agent, trust: own.bundle, alpn, expect: isRouter };
    const [silent] = await pair();
    await expect(connectMtls({ ...options, carrier: silent, handshakeTimeoutMs: 30 })).rejects.toMatchObject({
      code: "HANDSHAKE_TIMEOUT",
    });
    expect(silent.destroyed).toBe(true);
    const stop = new AbortController();
    const dialing = connectMtls({ ...options, carrier: (await pair())[0], signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(dialing).rejects.toThrow("enough");
  });
});

test("no server name is sent, not even to a named host", async () => {
  const svid = await own.issue(router);
  const names: string[] = [];
  const SNICallback = (name: string, answer: (error: null) => void): void => {
    names.push(name);
    answer(null);
  };
  const server = createServer({ ...contextOptions(svid, own.bundle.roots), ALPNProtocols: [alpn], SNICallback });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "localhost", resolve));
  const { socket } = await connectMtls({
    carrier: { host: "localhost", port },
    identity: agent,
    trust: own.bundle,
    alpn,
    expect: isRouter,
  });
  socket.destroy();
  server.close();
  expect(names).toEqual([]);
});

test("a server that chooses no protocol is refused", async () => {
  const [near, far] = await tcpPair();
  const server = createServer(contextOptions(await own.issue(router), own.bundle.roots));
  server.emit("connection", far);
  const dialing = connectMtls({ carrier: near, identity: agent, trust: own.bundle, alpn, expect: isRouter });
  await expect(dialing).rejects.toMatchObject({ code: "ALPN_MISMATCH" });
  far.destroy();
});

test("a closed port is a failed handshake", async () => {
  const port = await freePort();
  await expect(
    connectMtls({ carrier: { host: "127.0.0.1", port }, identity: agent, trust: own.bundle, alpn, expect: isRouter }),
  ).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" });
});

test("a refused client learns it by the end of its socket", async () => {
  const [near, far] = await tcpPair();
  await using server = createMtlsServer({
    identity: await own.source(router),
    alpn: [alpn],
    clientCertificate: "required",
  });
  const accepting = Promise.allSettled([server.accept(far)]);
  const stranger = await rogue.source(workloadId("a.org", "agent", "one"));
  const { socket } = await connectMtls({
    carrier: near,
    identity: stranger,
    trust: own.bundle,
    alpn,
    expect: isRouter,
  });
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  expect(await accepting).toMatchObject([{ status: "rejected", reason: { code: "UNTRUSTED" } }]);
  await closed;
});
