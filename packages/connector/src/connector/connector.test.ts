import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import type { Circuit } from "../circuit/circuit.ts";
import { Connector } from "./connector.ts";
import { connectorWorld, type ConnectorWorld } from "./connector-world.test-support.ts";

let world: ConnectorWorld;

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

async function hosted(connector: Connector, service = "files"): Promise<{ readonly next: () => Promise<Circuit> }> {
  const circuits: Circuit[] = [];
  let wake = (): void => undefined;
  const hosting = connector.host(service, "tcp", (circuit) => {
    circuits.push(circuit);
    wake();
  });
  await hosting.ready;
  const next = async (): Promise<Circuit> => {
    while (circuits.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const circuit = circuits.shift();
    if (circuit === undefined) throw new Error("no circuit");
    return circuit;
  };
  return { next };
}

test("a workload dials a service that another hosts, and both put their view on record", async () => {
  world = await connectorWorld();
  const [agent, host] = [await world.connector("agent"), await world.connector("host")];
  const { next } = await hosted(host);
  const [dialed, taken] = await Promise.all([agent.dial("files"), next()]);
  dialed.end("question");
  expect(await text(taken)).toBe("question");
  taken.end("answer");
  expect(await text(dialed)).toBe("answer");
  expect(await dialed.closedBy).toStrictEqual({ kind: "ended" });
  await Promise.all([agent.flushAudit(), host.flushAudit()]);
  const seen = world.router.events.filter(({ kind }) => kind.startsWith("circuit."));
  const facts = { actorName: "agent", service: "files", circuitId: dialed.circuitId };
  expect(seen.map(({ kind, vantage }) => `${vantage} ${kind}`).toSorted()).toStrictEqual([
    "dialer circuit.closed",
    "dialer circuit.opened",
    "host circuit.closed",
    "host circuit.opened",
  ]);
  for (const event of seen) expect(event).toMatchObject(facts);
  expect(seen.find(({ kind, vantage }) => kind === "circuit.closed" && vantage === "host")).toMatchObject({
    outcome: "ok",
    bytesReceived: 8,
    bytesSent: 6,
  });
});

describe("a host that offers another protocol than policy names", () => {
  test("is told so, and takes no circuit: what policy allows inside one would not be enforced", async () => {
    world = await connectorWorld();
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    const taken: Circuit[] = [];
    const hosting = host.host("files", "mcp", (circuit) => taken.push(circuit));
    await expect(hosting.ready).rejects.toMatchObject({
      code: "HOST_REFUSED",
      message: expect.stringContaining("policy says that files speaks tcp, and this host offers mcp"),
    });
    await expect(agent.dial("files")).rejects.toMatchObject({ code: "DIAL_REFUSED" });
    expect(taken).toHaveLength(0);
  });
});

describe("a refusal says why", () => {
  test("a dial that policy does not allow carries the decision", async () => {
    world = await connectorWorld();
    const stranger = await world.connector("stranger");
    await expect(stranger.dial("files")).rejects.toMatchObject({
      code: "DIAL_REFUSED",
      refusal: { code: "POLICY_DENIED", decisionId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    });
    await stranger.flushAudit();
    expect(world.router.events.at(-1)).toMatchObject({
      kind: "circuit.refused",
      vantage: "dialer",
      errorCode: "POLICY_DENIED",
    });
  });

  test("a service that nobody hosts", async () => {
    world = await connectorWorld();
    const agent = await world.connector("agent");
    await expect(agent.dial("files")).rejects.toMatchObject({ code: "DIAL_REFUSED", refusal: { code: "NO_HOST" } });
  });

  test("an offer to host that policy does not allow", async () => {
    world = await connectorWorld();
    const agent = await world.connector("agent");
    const hosting = agent.host("files", "tcp", () => undefined);
    await expect(hosting.ready).rejects.toMatchObject({ code: "HOST_REFUSED", refusal: { code: "POLICY_DENIED" } });
  });

  test("no router that answers", async () => {
    world = await connectorWorld();
    const profile = { ...(await world.profile("agent")), routers: ["127.0.0.1:1"] };
    await expect(Connector.open({ profile, log: world.log, connectTimeoutMs: 300 })).rejects.toMatchObject({
      code: "ROUTER_UNREACHABLE",
    });
  });

  test("a router that turns the identity away, at once and not after the time for finding a router", async () => {
    world = await connectorWorld({ script: { turnsAway: true } });
    const profile = await world.profile("agent");
    const opening = Connector.open({ profile, log: world.log, connectTimeoutMs: 60_000 });
    await expect(opening).rejects.toMatchObject({ code: "IDENTITY_REVOKED" });
  });

  test("a certificate that nobody renewed in time", async () => {
    world = await connectorWorld();
    const profile = await world.profile("agent", { now: new Date(Date.now() - 7_200_000) });
    await expect(Connector.open({ profile, log: world.log })).rejects.toMatchObject({ code: "PROFILE_EXPIRED" });
  });
});

test("circuits that are over leave no stream behind, however they ended", async () => {
  world = await connectorWorld();
  const [agent, host] = [await world.connector("agent"), await world.connector("host")];
  const { next } = await hosted(host);
  const streams = (): number => world.router.tunnels.reduce((sum, { streamCount }) => sum + streamCount, 0);
  await Promise.all([agent.flushAudit(), host.flushAudit()]);
  for (let i = 0; i < 6; i += 1) {
    const [dialed, taken] = await Promise.all([agent.dial("files"), next()]);
    if (i % 3 === 0) dialed.destroy();
    else if (i % 3 === 1) taken.destroy();
    else {
      dialed.end("question");
      taken.end(await text(taken));
      await text(dialed);
    }
    await Promise.all([dialed.closedBy, taken.closedBy]);
  }
  await Promise.all([agent.flushAudit(), host.flushAudit()]);
  // The policy and the audit stream of each.
  await expect.poll(streams, { timeout: 5_000 }).toBe(4);
});

test("a host takes no more circuits at once than it said, and then again", async () => {
  world = await connectorWorld();
  const [agent, host] = [await world.connector("agent"), await world.connector("host")];
  const taken = Promise.withResolvers<Circuit>();
  await host.host("files", "tcp", taken.resolve, { maxCircuits: 1 }).ready;
  const first = await agent.dial("files");
  const atHost = await taken.promise;
  await expect(agent.dial("files")).rejects.toMatchObject({ refusal: { code: "OVERLOADED" } });
  first.destroy();
  await atHost.closedBy;
  (await agent.dial("files")).destroy();
});

describe("a router that lies", () => {
  test("gets no circuit by joining a dialer of files to the host of shell", async () => {
    world = await connectorWorld({ script: { tellHost: () => ({ service: "shell" }) } });
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    await hosted(host, "shell");
    await expect(agent.dial("files")).rejects.toMatchObject({
      code: expect.stringMatching(/^(BINDING_MISMATCH|HANDSHAKE_FAILED)$/),
    });
    await agent.flushAudit();
    await host.flushAudit();
    const refused = world.router.events.filter(({ kind }) => kind === "circuit.refused");
    expect(refused.map(({ errorCode }) => errorCode)).toContain("BINDING_MISMATCH");
    expect(world.router.events.some(({ kind }) => kind === "circuit.opened")).toBe(false);
  });

  test("does not end the process by a name as long as a frame takes, which no refusal can repeat", async () => {
    const nothingElse = { dialerId: "", circuitNonce: Buffer.alloc(0), sliceVersion: 0, decisionId: "", circuitId: "" };
    const tellHost = () => ({ ...nothingElse, service: "s".repeat(4_090) });
    world = await connectorWorld({ script: { tellHost } });
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    await hosted(host);
    await expect(agent.dial("files")).rejects.toMatchObject({ refusal: { code: "NO_HOST" } });
  });

  test("gets no circuit by letting through whom the host's own policy does not allow", async () => {
    world = await connectorWorld({
      script: { tellHost: () => ({ dialerId: "spiffe://sallyport.local/workload/stranger/1" }) },
    });
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    await hosted(host);
    await expect(agent.dial("files")).rejects.toMatchObject({
      code: "DIAL_REFUSED",
      refusal: { code: "HOST_REFUSED" },
    });
  });
});

describe("a live circuit ends", () => {
  test("at both ends when the dialer is put on the deny-list, and the reader sees an error", async () => {
    world = await connectorWorld();
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    const { next } = await hosted(host);
    const [dialed, taken] = await Promise.all([agent.dial("files"), next()]);
    taken.write("half of");
    const read = text(dialed);
    world.policy.deny("agent");
    await expect(read).rejects.toMatchObject({ name: "ConnectorError" });
    expect(await taken.closedBy).toMatchObject({ kind: "revoked", decision: { code: "IDENTITY_DENIED" } });
    await host.flushAudit();
    expect(world.router.events.at(-1)).toMatchObject({ kind: "circuit.closed", vantage: "host", outcome: "revoked" });
  });

  test("when its router goes away, as truncated or reset, never as ended", async () => {
    world = await connectorWorld();
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    const { next } = await hosted(host);
    const [dialed, taken] = await Promise.all([agent.dial("files"), next()]);
    taken.write("half of");
    const read = text(dialed);
    world.router.crash();
    await expect(read).rejects.toMatchObject({ name: "ConnectorError" });
    expect((await dialed.closedBy).kind).not.toBe("ended");
  });
});

test("a dial that meets the end of its tunnel is made again on the next", async () => {
  world = await connectorWorld();
  const agent = await world.connector("agent");
  world.router.crash();
  await expect(agent.dial("files")).rejects.toMatchObject({ refusal: { code: "NO_HOST" } });
  expect(world.router.tunnelsSeen).toBe(2);
});

test("after a crash of the router both sides come back and the service is hosted again", async () => {
  world = await connectorWorld();
  const [agent, host] = [await world.connector("agent"), await world.connector("host")];
  const { next } = await hosted(host);
  world.router.crash();
  await world.router.until(() => world.router.tunnelsSeen === 4 && world.router.hosted.has("files"));
  const [dialed, taken] = await Promise.all([agent.dial("files"), next()]);
  dialed.end("again");
  expect(await text(taken)).toBe("again");
});
