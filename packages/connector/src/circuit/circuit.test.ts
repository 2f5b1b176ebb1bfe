import { randomBytes } from "node:crypto";
import { connect } from "node:tls";
import { WireCode } from "@sallyport/frame";
import { routerId, workloadId, type SpiffeId } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { createTestAuthority } from "@sallyport/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { bindingKey, encodeBinding } from "./binding.ts";
import { carrierPair } from "./carrier-pair.test-support.ts";
import { circuitWorld, readAll, type Attempt, type CircuitWorld } from "./circuit-world.test-support.ts";
import type { Circuit } from "./circuit.ts";
import { circuitAlpn } from "./open-circuit.ts";
import { dataRunBytes, encodeEnd, writeDataRun } from "./record.ts";

let world: CircuitWorld;

beforeAll(async () => {
  world = await circuitWorld();
});

async function open(attempt: Attempt = world.connect()): Promise<{ readonly dialer: Circuit; readonly host: Circuit }> {
  const [dialer, host] = await Promise.all([attempt.dialer, attempt.host]);
  return { dialer, host };
}

/** Neither end gets a circuit; the codes of what they get instead. */
async function refusals(attempt: Attempt): Promise<readonly unknown[]> {
  const results = await Promise.allSettled([attempt.dialer, attempt.host]);
  return results.map((result) => (result.status === "rejected" ? Object(result.reason).code : "CIRCUIT"));
}

describe("a circuit between two allowed workloads", () => {
  test("tells each end who the other is, from its certificate", async () => {
    const { dialer, host } = await open();
    expect(dialer.peer.identity.id.uri).toBe("spiffe://sallyport.local/workload/host/1");
    expect(host.peer.identity.id.uri).toBe("spiffe://sallyport.local/workload/agent/1");
    expect(host.peer.tlsGroup).toBe("X25519MLKEM768");
    expect(dialer.decision).toMatchObject({ decision: "allow", ruleIds: ["host-hosts-files"] });
    dialer.destroy();
    host.destroy();
  });

  test("carries bytes both ways, half-closes, and ends well", async () => {
    const { dialer, host } = await open();
    const request = randomBytes(300_000);
    const answer = randomBytes(200_000);
    dialer.end(request);
    expect((await readAll(host)).equals(request)).toBe(true);
    host.end(answer);
    expect((await readAll(dialer)).equals(answer)).toBe(true);
    expect(await Promise.all([dialer.closedBy, host.closedBy])).toStrictEqual([{ kind: "ended" }, { kind: "ended" }]);
    expect([host.bytesReceived, host.bytesSent]).toStrictEqual([300_000, 200_000]);
  });

  test("carries what a dialer says in one breath with its binding", async () => {
    const carriers = carrierPair();
    const accepted = world.accept(carriers.host);
    const { socket } = await connectMtls({
      carrier: carriers.dialer,
      identity: world.agent,
      trust: world.agent.bundle(),
      alpn: circuitAlpn,
      expect: () => true,
    });
    const letGo = carriers.host.holdUp();
    const belief = { service: "files", nonce: Buffer.alloc(16, 7), sliceVersion: 1 };
    socket.write(encodeBinding(bindingKey(socket), "dialer", belief));
    for (const word of ["one", "two"]) {
      const run = Buffer.alloc(dataRunBytes(word.length));
      writeDataRun(run, [Buffer.from(word)], 0, word.length);
      socket.write(run);
    }
    await new Promise((resolve) => socket.write(encodeEnd(6), resolve));
    letGo();
    const host = await accepted;
    host.end();
    expect(Buffer.concat(await host.toArray()).toString()).toBe("onetwo");
    expect(await host.closedBy).toStrictEqual({ kind: "ended" });
  });

  test("holds a writer up whose reader does not read", async () => {
    const { dialer, host } = await open();
    let written = 0;
    const write = (): void => {
      while (dialer.write(Buffer.alloc(16_384))) written += 16_384;
    };
    write();
    dialer.on("drain", write);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(written).toBeLessThan(4 * 1024 * 1024);
    dialer.destroy();
    host.destroy();
  });

  test("a user who destroys it resets the other end, which takes that for an error and never for an end", async () => {
    const { dialer, host } = await open();
    dialer.write("half of an ans");
    const read = readAll(host);
    await new Promise((resolve) => dialer.write("wer", resolve));
    dialer.destroy();
    await expect(read).rejects.toMatchObject({ code: "CIRCUIT_RESET" });
    expect(await host.closedBy).toStrictEqual({ kind: "reset", by: "peer", code: WireCode.cancelled });
  });
});

describe("whoever cannot prove an allowed identity gets no circuit, and neither does the other end", () => {
  test("a rogue root that says it is the same trust domain", async () => {
    const rogue = await createTestAuthority(world.authority.trustDomain);
    const host = await rogue.source(workloadId(rogue.trustDomain, "host", "1"));
    expect(await refusals(world.connect({ hostIdentity: host }))).toStrictEqual(both("HANDSHAKE_FAILED"));
    const agent = await rogue.source(workloadId(rogue.trustDomain, "agent", "1"));
    expect(await refusals(world.connect({ dialerIdentity: agent }))).toStrictEqual(both("HANDSHAKE_FAILED"));
  });

  test("a foreign trust domain", async () => {
    const foreign = await createTestAuthority("elsewhere.example");
    const agent = await foreign.source(workloadId(foreign.trustDomain, "agent", "1"));
    expect(await refusals(world.connect({ dialerIdentity: agent }))).toStrictEqual(both("HANDSHAKE_FAILED"));
    const host = await foreign.source(workloadId(foreign.trustDomain, "host", "1"));
    expect(await refusals(world.connect({ hostIdentity: host }))).toStrictEqual(both("HANDSHAKE_FAILED"));
  });

  test("a dialer without a certificate", async () => {
    const carriers = carrierPair();
    const socket = connect({
      socket: carriers.dialer,
      ALPNProtocols: [circuitAlpn],
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    });
    socket.on("error", () => undefined);
    await expect(world.accept(carriers.host)).rejects.toMatchObject({
      code: "HANDSHAKE_FAILED",
      cause: { code: "NO_CERTIFICATE" },
    });
  });

  test("an expired certificate", async () => {
    const now = new Date(Date.now() - 7_200_000);
    const agent = await world.authority.source(workloadId(world.authority.trustDomain, "agent", "1"), { now });
    expect(await refusals(world.connect({ dialerIdentity: agent }))).toStrictEqual(both("HANDSHAKE_FAILED"));
  });

  test("an identity of the network that is no workload", async () => {
    const router = await world.authority.source(routerId(world.authority.trustDomain, "host"));
    expect(await refusals(world.connect({ hostIdentity: router }))).toStrictEqual(both("HANDSHAKE_FAILED"));
  });

  test("a host that the slice does not allow, though the router named it truly", async () => {
    const stranger = await world.authority.source(strangerId());
    const attempt = world.connect({ hostIdentity: stranger, dialer: { claimedPeerId: strangerId().uri } });
    expect(await refusals(attempt)).toStrictEqual(["PEER_NOT_ALLOWED", "HANDSHAKE_FAILED"]);
  });

  test("a dialer that the slice does not allow, though the router let it through", async () => {
    const stranger = await world.authority.source(strangerId());
    const attempt = world.connect({ dialerIdentity: stranger, host: { claimedPeerId: strangerId().uri } });
    expect(await refusals(attempt)).toStrictEqual(["HANDSHAKE_FAILED", "PEER_NOT_ALLOWED"]);
  });
});

describe("a router that lies about the circuit is noticed before a byte of data", () => {
  test("by naming another workload than the one that is there", async () => {
    expect(await refusals(world.connect({ dialer: { claimedPeerId: strangerId().uri } }))).toContain("PEER_MISMATCH");
    expect(await refusals(world.connect({ host: { claimedPeerId: "" } }))).toContain("PEER_MISMATCH");
  });

  test("by joining a dialer of one service to the host of another, both of which these two may use", async () => {
    expect(await refusals(world.connect({ host: { service: "shell" } }))).toContain("BINDING_MISMATCH");
  });

  test("by joining it to another circuit of the same service", async () => {
    expect(await refusals(world.connect({ host: { nonce: Buffer.alloc(16, 8) } }))).toContain("BINDING_MISMATCH");
  });

  test("by telling the two ends of different policy versions", async () => {
    expect(await refusals(world.connect({ host: { sliceVersion: 0 } }))).toContain("BINDING_MISMATCH");
  });
});

describe("an end is believed only with its authenticated count", () => {
  test("an answer that the router cuts is truncated, at both ends", async () => {
    const { carriers, ...ends } = world.connect();
    const { dialer, host } = await open({ carriers, ...ends });
    await new Promise((resolve) => host.write("half of an answer", resolve));
    const read = readAll(dialer);
    carriers.cut();
    await expect(read).rejects.toMatchObject({ code: "CIRCUIT_TRUNCATED" });
    expect(await Promise.all([dialer.closedBy, host.closedBy])).toMatchObject([
      { kind: "truncated" },
      { kind: "truncated" },
    ]);
  });

  test("a reset by the router is an error with its code", async () => {
    const { carriers, ...ends } = world.connect();
    const { dialer } = await open({ carriers, ...ends });
    const read = readAll(dialer);
    carriers.reset(WireCode.revoked);
    await expect(read).rejects.toMatchObject({ code: "CIRCUIT_REVOKED" });
    expect(await dialer.closedBy).toStrictEqual({ kind: "reset", by: "router", code: WireCode.revoked });
  });
});

function both(code: string): readonly string[] {
  return [code, code];
}

function strangerId(): SpiffeId {
  return workloadId(world.authority.trustDomain, "stranger", "1");
}
