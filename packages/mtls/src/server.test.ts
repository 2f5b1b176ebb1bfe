import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import {
  adminId,
  createRoot,
  generateKeyPair,
  keyUsageBits,
  oids,
  readCertificate,
  RotatingSvid,
  routerId,
  sha256Hex,
  spkiOf,
  workloadId,
  type Svid,
} from "@sallyport/identity";
import { buildCertificate, extensionTemplates } from "@sallyport/identity/certificate-builder";
import { createTestAuthority, forgeSvid, type TestAuthority } from "@sallyport/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { carrierKinds } from "./carrier-pairs.test-support.ts";
import { connectMtls } from "./client.ts";
import { contextOptions } from "./secure-context.ts";
import { createMtlsServer, type Accepted, type MtlsServerOptions } from "./server.ts";

const alpn = "sallyport/1";
let own: TestAuthority;
let foreign: TestAuthority;
let rogue: TestAuthority;
let router: RotatingSvid;

beforeAll(async () => {
  own = await createTestAuthority("a.org");
  foreign = await createTestAuthority("b.org");
  // Same trust domain and same names as the real one, another key.
  rogue = await createTestAuthority("a.org");
  router = await own.source(routerId("a.org", "r1"));
});

const agent = workloadId("a.org", "agent", "one");

describe.each(carrierKinds)("a server over $carrier", ({ pair }) => {
  interface Attempt {
    readonly accepted: PromiseSettledResult<Accepted>;
    readonly socket: TLSSocket;
  }

  /** A client that checks nothing, so that only the server decides. */
  async function attempt(
    client: Svid | null,
    options: Partial<MtlsServerOptions> & { readonly offers?: readonly string[] } = {},
  ): Promise<Attempt> {
    const [near, far] = await pair();
    const { offers = [alpn], ...serverOptions } = options;
    await using server = createMtlsServer({
      identity: router,
      alpn: [alpn],
      clientCertificate: "required",
      ...serverOptions,
    });
    const socket = connect({
      ...contextOptions(client, own.bundle.roots),
      socket: near,
      servername: "",
      checkServerIdentity: () => undefined,
      ALPNProtocols: [...offers],
    });
    socket.on("error", () => undefined);
    const [accepted] = await Promise.allSettled([server.accept(far)]);
    if (accepted.status === "rejected") expect(far.destroyed).toBe(true);
    return { accepted, socket };
  }

  async function refusalOf(client: Svid | null, options: Parameters<typeof attempt>[1] = {}): Promise<unknown> {
    const { accepted } = await attempt(client, options);
    return accepted.status === "rejected" ? accepted.reason.code : "accepted";
  }

  test("lets the holder of an SVID in and knows the key agreement", async () => {
    const svid = await own.issue(agent);
    const { accepted } = await attempt(svid);
    expect(accepted).toMatchObject({
      value: {
        peer: {
          identity: { kind: "workload", name: "agent", instance: "one" },
          serial: svid.serial,
          notAfter: svid.notAfter,
          tlsGroup: "X25519MLKEM768",
          anchor: "bundle",
        },
      },
    });
  });

  test("names every issuing key of the peer, the root's last", async () => {
    const { accepted } = await attempt(await own.issue(agent));
    const issuers = [own.intermediate, own.root].map(({ certificate }) => sha256Hex(readCertificate(certificate).spki));
    expect(accepted).toMatchObject({ value: { peer: { issuers } } });
  });

  test("refuses a root of the same name with another key", async () => {
    expect(await refusalOf(await rogue.issue(agent))).toBe("UNTRUSTED");
  });

  test("refuses a foreign trust domain, also when its root is in the list of CAs", async () => {
    const stranger = await foreign.issue(workloadId("b.org", "agent", "one"));
    expect(await refusalOf(stranger)).toBe("UNTRUSTED");
    expect(await refusalOf(stranger, { extraTrust: () => foreign.bundle.roots })).toBe("FOREIGN_TRUST_DOMAIN");
  });

  test("refuses an identity of our trust domain that a foreign CA in the list of CAs has signed", async () => {
    const minted = forgeSvid(foreign.intermediate, { uris: [adminId("a.org", "root").uri] });
    expect(await refusalOf(minted, { extraTrust: () => foreign.bundle.roots })).toBe("UNTRUSTED");
  });

  test("refuses a peer without a certificate", async () => {
    expect(await refusalOf(null)).toBe("NO_CERTIFICATE");
  });

  test("refuses an expired certificate", async () => {
    expect(await refusalOf(await own.issue(agent, { now: new Date(Date.now() - 86_400_000), ttlSeconds: 60 }))).toBe(
      "EXPIRED",
    );
  });

  test("refuses a signing certificate that is used as a leaf", async () => {
    const asLeaf = forgeSvid(own.root, {
      uris: [agent.uri],
      isCa: true,
      keyUsage: keyUsageBits.digitalSignature | keyUsageBits.keyCertSign,
      chain: [],
    });
    expect(await refusalOf(asLeaf)).toBe("LEAF_INVALID");
  });

  test("refuses two URI names", async () => {
    expect(await refusalOf(forgeSvid(own.intermediate, { uris: [agent.uri, adminId("a.org", "root").uri] }))).toBe(
      "LEAF_INVALID",
    );
  });

  test("refuses a certificate that is for clients only", async () => {
    expect(await refusalOf(forgeSvid(own.intermediate, { uris: [agent.uri], purposes: [oids.clientAuth] }))).toBe(
      "LEAF_INVALID",
    );
  });

  test("refuses a protocol that it does not speak", async () => {
    const svid = await own.issue(agent);
    expect(await refusalOf(svid, { offers: ["h2"] })).toBe("ALPN_MISMATCH");
    expect(await refusalOf(svid, { offers: [] })).toBe("ALPN_MISMATCH");
  });

  test("asks for no certificate where none is wanted", async () => {
    const { accepted } = await attempt(null, { clientCertificate: "none" });
    expect(accepted).toMatchObject({ status: "fulfilled", value: { peer: null } });
  });

  test("resumes no session", async () => {
    const svid = await own.issue(agent);
    await using server = createMtlsServer({ identity: router, alpn: [alpn], clientCertificate: "required" });
    const dial = async (
      session?: Buffer,
    ): Promise<{ readonly reused: boolean; readonly session: Buffer | undefined }> => {
      const [near, far] = await pair();
      const socket = connect({
        ...contextOptions(svid, own.bundle.roots),
        socket: near,
        servername: "",
        checkServerIdentity: () => undefined,
        ALPNProtocols: [alpn],
        ...(session && { session }),
      });
      let offered: Buffer | undefined;
      socket.on("session", (ticket) => {
        offered = ticket;
      });
      const accepted = await server.accept(far);
      // Tickets come before the first byte.
      accepted.socket.write("x");
      await once(socket, "data");
      return { reused: socket.isSessionReused(), session: offered ?? socket.getSession() };
    };
    const first = await dial();
    expect(await dial(first.session)).toMatchObject({ reused: false });
  });

  test("gives up on a silent peer", async () => {
    const [, far] = await pair();
    await using server = createMtlsServer({
      identity: router,
      alpn: [alpn],
      clientCertificate: "required",
      handshakeTimeoutMs: 30,
    });
    await expect(server.accept(far)).rejects.toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    expect(far.destroyed).toBe(true);
  });

  test("gives up on a peer that leaves", async () => {
    const [near, far] = await pair();
    await using server = createMtlsServer({ identity: router, alpn: [alpn], clientCertificate: "required" });
    const accepting = server.accept(far);
    near.destroy();
    if (!far.closed) far.destroy();
    await expect(accepting).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" });
  });

  test("stops a handshake at the signal and at its end", async () => {
    const stop = new AbortController();
    const server = createMtlsServer({ identity: router, alpn: [alpn], clientCertificate: "required" });
    const aborted = server.accept((await pair())[1], stop.signal);
    stop.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    const closed = server.accept((await pair())[1]);
    await Promise.all([
      expect(closed).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" }),
      server[Symbol.asyncDispose](),
    ]);
  });

  describe("with a bootstrap CA beside the bundle", () => {
    test("tells a bootstrap credential from an SVID", async () => {
      const bootstrap = await createRoot({
        trustDomain: "a.org",
        commonName: "a.org bootstrap",
        ttlDays: 10,
        now: new Date(),
        pathLength: 0,
      });
      const extraTrust = (): readonly Buffer[] => [bootstrap.certificate];
      const credential = forgeSvid(bootstrap, { uris: [routerId("a.org", "r1").uri], chain: [] });
      expect((await attempt(credential, { extraTrust })).accepted).toMatchObject({
        value: { peer: { anchor: "extra" } },
      });
      expect((await attempt(await own.issue(agent), { extraTrust })).accepted).toMatchObject({
        value: { peer: { anchor: "bundle" } },
      });
      expect(await refusalOf(credential)).toBe("UNTRUSTED");
    });

    test("a bootstrap credential cannot pass for an SVID by a forged certificate that leads Node's walk to our root", async () => {
      const bootstrap = await createRoot({
        trustDomain: "a.org",
        commonName: "a.org bootstrap",
        ttlDays: 10,
        now: new Date(),
        pathLength: 0,
      });
      const bridge = forgedBridge(bootstrap.certificate, own.root.certificate);
      const credential = forgeSvid(bootstrap, { uris: [routerId("a.org", "r1").uri], chain: [bridge] });
      const { accepted } = await attempt(credential, { extraTrust: () => [bootstrap.certificate] });
      expect(accepted.status === "fulfilled" ? accepted.value.peer?.anchor : accepted.reason.code).toBe("UNTRUSTED");
    });

    test("nor by the certificate of our intermediate beside a leaf of a CA that bears its name", async () => {
      const namesake = await createRoot({
        trustDomain: "a.org",
        commonName: "a.org intermediate",
        ttlDays: 10,
        now: new Date(),
        pathLength: 0,
      });
      const credential = forgeSvid(namesake, {
        uris: [routerId("a.org", "r1").uri],
        chain: [own.intermediate.certificate],
      });
      const { accepted } = await attempt(credential, { extraTrust: () => [namesake.certificate] });
      expect(accepted.status === "fulfilled" ? accepted.value.peer?.anchor : accepted.reason.code).toBe("UNTRUSTED");
    });
  });

  test("a rotation takes effect for the next handshake: new certificate shown, removed root refused", async () => {
    const next = await createTestAuthority("a.org");
    const identity = new RotatingSvid(await own.issue(routerId("a.org", "r2")), own.bundle);
    await using server = createMtlsServer({ identity, alpn: [alpn], clientCertificate: "required" });
    const dial = async (client: RotatingSvid, trust = own.bundle): Promise<unknown> => {
      const [near, far] = await pair();
      const [accepted, dialed] = await Promise.allSettled([
        server.accept(far),
        connectMtls({ carrier: near, identity: client, trust, alpn, expect: () => true }),
      ]);
      return { accepted: accepted.status, serial: dialed.status === "fulfilled" ? dialed.value.peer.serial : null };
    };
    const client = await own.source(agent);
    expect(await dial(client)).toEqual({ accepted: "fulfilled", serial: identity.current().serial });
    identity.rotate(await next.issue(routerId("a.org", "r2")), next.bundle);
    expect(await dial(await next.source(agent), next.bundle)).toEqual({
      accepted: "fulfilled",
      serial: identity.current().serial,
    });
    expect(await dial(client, next.bundle)).toMatchObject({ accepted: "rejected" });
  });

  test("keeps many handshakes of one listener apart", async () => {
    await using server = createMtlsServer({ identity: router, alpn: [alpn], clientCertificate: "required" });
    const names = Array.from({ length: 12 }, (_, index) => `agent-${index}`);
    const seen = await Promise.all(
      names.map(async (name) => {
        const [near, far] = await pair();
        const client = await own.source(workloadId("a.org", name, "one"));
        const [accepted, { socket }] = await Promise.all([
          server.accept(far),
          connectMtls({ carrier: near, identity: client, trust: own.bundle, alpn, expect: () => true }),
        ]);
        socket.write(name);
        const [text] = await once(accepted.socket, "data");
        return [accepted.peer?.identity.kind === "workload" ? accepted.peer.identity.name : "", String(text)];
      }),
    );
    expect(seen).toEqual(names.map((name) => [name, name]));
  });
});

/** A certificate with the name and key identifier of `from`, which claims to be issued by `to` and is signed by nobody who may. */
function forgedBridge(from: Buffer, to: Buffer): Buffer {
  const [bottom, top] = [readCertificate(from), readCertificate(to)];
  const { privateKey } = generateKeyPair();
  return buildCertificate(
    {
      spki: spkiOf(privateKey),
      subject: "a.org bootstrap",
      notBefore: bottom.notBefore,
      notAfter: bottom.notAfter,
      extensions: [
        extensionTemplates.keyUsage(keyUsageBits.keyCertSign),
        extensionTemplates.basicConstraints(true),
        extensionTemplates.subjectKeyIdentifier(bottom.spki),
        extensionTemplates.authorityKeyIdentifier(
          top.extensions.get(oids.subjectKeyIdentifier)?.value.subarray(2) ?? Buffer.alloc(0),
        ),
      ],
    },
    top.subject,
    privateKey,
  );
}
