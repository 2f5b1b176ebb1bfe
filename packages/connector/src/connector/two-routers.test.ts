import { text } from "node:stream/consumers";
import { WireCode } from "@sallyport/frame";
import { HostAnnounce, Precedence } from "@sallyport/proto/tunnel";
import { freePort } from "@sallyport/testing";
import { afterEach, describe, expect, test } from "vitest";
import type { Circuit } from "../circuit/circuit.ts";
import { Connector } from "./connector.ts";
import { reachRules } from "../test-policy.test-support.ts";
import { connectorWorld, type ConnectorWorld } from "./connector-world.test-support.ts";
import type { Hosting } from "./hosting.ts";
import { ScriptedRouter, splice, type JoinedStreams, type RouterScript } from "./scripted-router.test-support.ts";

let world: ConnectorWorld;
const owned: AsyncDisposable[] = [];

afterEach(async () => {
  for (const owner of owned.splice(0).toReversed()) await owner[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

async function twoRouters(first: RouterScript = {}, second: RouterScript = {}): Promise<void> {
  world = await connectorWorld({ script: first, more: [second] });
}

function routerAt(index: number): ScriptedRouter {
  const found = world.routers[index];
  if (found === undefined) throw new Error(`no router ${index}`);
  return found;
}

async function onBoth(name: string): Promise<Connector> {
  const connector = await world.connector(name);
  await expect.poll(() => connector.tunnels.length, { timeout: 5_000 }).toBe(2);
  return connector;
}

/** Hosts `files` by answering every question with itself. */
async function echo(connector: Connector): Promise<Hosting> {
  const hosting = connector.host("files", "tcp", (circuit) => void circuit.pipe(circuit));
  await expect.poll(() => hosting.answers.size, { timeout: 5_000 }).toBe(2);
  await hosting.ready;
  return hosting;
}

async function ask(agent: Connector, question: string): Promise<string> {
  const circuit = await agent.dial("files");
  circuit.end(question);
  return await text(circuit);
}

describe("a workload of a network with two routers", () => {
  test("has a tunnel to each, and hosts on both", async () => {
    await twoRouters();
    const host = await onBoth("host");
    expect(new Set(host.tunnels.map(({ router }) => router))).toStrictEqual(new Set(world.routers.map(({ id }) => id)));
    const hosting = await echo(host);
    await Promise.all(world.routers.map((router) => router.until(() => router.hosted.has("files"))));
    await expect.poll(() => [...hosting.answers.values()]).toStrictEqual([{ kind: "hosted" }, { kind: "hosted" }]);
    expect(hosting.status).toStrictEqual({ kind: "hosted" });
  });

  test("loses no dial when one router is killed under them", async () => {
    await twoRouters();
    const [agent, host] = [await onBoth("agent"), await onBoth("host")];
    await echo(host);
    // Killed at the arrival of the tenth dial: with dials asked, accepted, and in their handshakes.
    const killed = routerAt(0).until(() => routerAt(0).dialsSeen >= 10);
    const dials = Array.from({ length: 40 }, () => agent.dial("files"));
    await killed;
    routerAt(0).stop();
    const circuits = await Promise.all(dials);
    expect(circuits.length).toBe(40);
    for (const circuit of circuits) circuit.destroy();
    for (let index = 0; index < 20; index += 1) expect(await ask(agent, `later ${index}`)).toBe(`later ${index}`);
  });

  test("dials again at once, with another nonce, when its router is killed before the circuit is made", async () => {
    let killed = false;
    const nonces: string[] = [];
    const kill = { tellHost: (open: { circuitNonce: Buffer }) => (nonces.push(open.circuitNonce.toString("hex")), {}) };
    await twoRouters(
      {
        ...kill,
        relay: () => {
          killed = true;
          routerAt(0).stop();
        },
      },
      kill,
    );
    const [agent, host] = [await onBoth("agent"), await onBoth("host")];
    await echo(host);
    expect(await ask(agent, "a question")).toBe("a question");
    expect(killed).toBe(true);
    expect(new Set(nonces).size).toBe(2);
  });

  test.each([
    ["its router is killed", () => routerAt(0).stop()],
    ["the path behind its router is lost", ({ dialer }: JoinedStreams) => dialer.reset(WireCode.gone)],
  ])("dials again at once when %s in the middle of the circuit's handshake", async (_, breakIt) => {
    let broken = 0;
    const relay = (streams: JoinedStreams): void => {
      if (broken > 0) return splice(streams.dialer, streams.host);
      // The first bytes of the handshake.
      streams.dialer.once("data", () => {
        broken += 1;
        breakIt(streams);
      });
    };
    await twoRouters({ relay });
    const [agent, host] = [await onBoth("agent"), await onBoth("host")];
    await echo(host);
    expect(await ask(agent, "a question")).toBe("a question");
    expect(broken).toBe(1);
  });

  test.each(["NO_HOST", "HOST_DOWN", "OVERLOADED", "DRAINING", "HEAD_STALE"])(
    "dials over the other router when the first one says %s",
    async (code) => {
      await twoRouters({ refusesDials: code });
      const [agent, host] = [await onBoth("agent"), await onBoth("host")];
      await echo(host);
      expect(await ask(agent, "a question")).toBe("a question");
      expect(routerAt(0).dialsSeen).toBe(1);
    },
  );

  test("is patient with a host that has yet to come back from a router that both lost", async () => {
    await twoRouters();
    const agent = await onBoth("agent");
    routerAt(0).stop();
    await expect.poll(() => agent.tunnels.length).toBe(1);
    const asked = ask(agent, "a question");
    await routerAt(1).until(() => routerAt(1).dialsSeen >= 2);
    const host = await world.connector("host");
    await host.host("files", "tcp", (circuit) => void circuit.pipe(circuit)).ready;
    expect(await asked).toBe("a question");
  });

  test("takes a denial by policy for final, and does not ask the other router", async () => {
    await twoRouters();
    const stranger = await onBoth("stranger");
    await expect(stranger.dial("files")).rejects.toMatchObject({ refusal: { code: "POLICY_DENIED" } });
    expect(world.routers.map(({ dialsSeen }) => dialsSeen)).toStrictEqual([1, 0]);
  });

  test("says why the first router could not, when neither can", async () => {
    await twoRouters({ refusesDials: "HOST_DOWN" });
    const agent = await onBoth("agent");
    await expect(agent.dial("files")).rejects.toMatchObject({ refusal: { code: "HOST_DOWN" } });
    expect(routerAt(1).dialsSeen).toBe(1);
  });

  test("is hosted while one router takes its offer, and keeps what each says apart", async () => {
    await twoRouters({ refusesHosts: true });
    const host = await onBoth("host");
    const hosting = host.host("files", "tcp", () => undefined);
    await hosting.ready;
    const answers = (): readonly unknown[] => world.routers.map(({ id }) => hosting.answers.get(id)?.kind);
    await expect.poll(answers).toStrictEqual(["refused", "hosted"]);
    expect(hosting.status).toStrictEqual({ kind: "hosted" });
    routerAt(1).stop();
    await expect.poll(() => hosting.status.kind).toBe("refused");
  });

  test("is told that hosting is refused when no router takes its offer", async () => {
    await twoRouters({ refusesHosts: true }, { refusesHosts: true });
    const host = await onBoth("host");
    const hosting = host.host("files", "tcp", () => undefined);
    await expect(hosting.ready).rejects.toMatchObject({ code: "HOST_REFUSED" });
  });

  test("puts its record over the other router when one takes it and acknowledges nothing", async () => {
    await twoRouters({ keepsBlocks: true });
    const agent = await onBoth("agent");
    await expect(agent.dial("files")).rejects.toMatchObject({ refusal: { code: "NO_HOST" } });
    await agent.flushAudit();
    expect(routerAt(1).events.map(({ kind }) => kind)).toContain("circuit.refused");
  }, 30_000);

  test("puts its record over the router that is left", async () => {
    await twoRouters();
    const agent = await onBoth("agent");
    await expect(agent.dial("files")).rejects.toMatchObject({ refusal: { code: "NO_HOST" } });
    routerAt(0).stop();
    await agent.flushAudit();
    expect(world.routers.flatMap(({ events }) => events).map(({ kind }) => kind)).toContain("circuit.refused");
  });
});

describe("a router that drains", () => {
  test("keeps its circuits, and gets no new ones", async () => {
    await twoRouters();
    const [agent, host] = [await onBoth("agent"), await onBoth("host")];
    await echo(host);
    const old = await agent.dial("files");
    routerAt(0).drain();
    expect(await ask(agent, "elsewhere")).toBe("elsewhere");
    expect(world.routers.map(({ dialsSeen }) => dialsSeen)).toStrictEqual([1, 1]);
    old.end("still here");
    expect(await text(old)).toBe("still here");
    expect(await old.closedBy).toStrictEqual({ kind: "ended" });
    // With its last circuit its tunnels are over.
    await routerAt(0).until(() => routerAt(0).tunnels.length === 0);
  });

  test("is replaced at once by a third", async () => {
    world = await connectorWorld({ more: [{}, {}] });
    const agent = await onBoth("agent");
    const used = new Set(agent.tunnels.map(({ router }) => router));
    const [drained] = world.routers.filter(({ id }) => used.has(id));
    drained?.drain();
    const isFresh = (): boolean => agent.tunnels.some(({ router }) => !used.has(router));
    await expect.poll(isFresh, { timeout: 2_000 }).toBe(true);
    expect(agent.tunnels.length).toBe(2);
  });

  test("that is the only one still tells of a revocation, and the circuits on it end", async () => {
    world = await connectorWorld();
    const [agent, host] = [await world.connector("agent"), await world.connector("host")];
    const taken = Promise.withResolvers<Circuit>();
    await host.host("files", "tcp", taken.resolve).ready;
    const [dialed] = await Promise.all([agent.dial("files"), taken.promise]);
    world.router.drain();
    world.policy.deny("agent");
    expect(await dialed.closedBy).toMatchObject({ kind: expect.stringMatching(/revoked|reset/) });
    expect(await (await taken.promise).closedBy).toMatchObject({ kind: "revoked" });
  });
});

test("a router that admits nobody just now is not waited for", async () => {
  await twoRouters();
  routerAt(0).drain();
  const agent = await world.connector("agent");
  expect(agent.tunnels.map(({ router }) => router)).toStrictEqual([routerAt(1).id]);
});

describe("a router that withholds policy", () => {
  test("keeps nobody from learning of a revocation by the other", async () => {
    let withholds = false;
    await twoRouters({ tellPolicy: (envelopes) => (withholds ? [] : envelopes) });
    const [agent, host] = [await onBoth("agent"), await onBoth("host")];
    const taken = Promise.withResolvers<Circuit>();
    const hosting = host.host("files", "tcp", taken.resolve);
    await expect.poll(() => hosting.answers.size, { timeout: 5_000 }).toBe(2);
    await hosting.ready;
    await agent.dial("files");
    expect(routerAt(0).dialsSeen).toBe(1);
    withholds = true;
    world.policy.deny("agent");
    expect(await (await taken.promise).closedBy).toMatchObject({
      kind: "revoked",
      decision: { code: "IDENTITY_DENIED" },
    });
  });

  test("and repeats what it knew is no trouble beside one that knows more", async () => {
    const before: { told?: Parameters<NonNullable<RouterScript["tellPolicy"]>>[0] } = {};
    await twoRouters({ tellPolicy: (envelopes) => (before.told ??= envelopes) });
    const [agent, host] = [await onBoth("agent"), await onBoth("host")];
    await echo(host);
    await expect.poll(() => agent.tunnels.every(({ headSequence }) => headSequence > 0)).toBe(true);
    world.policy.apply(reachRules);
    await expect.poll(() => new Set(agent.tunnels.map(({ headSequence }) => headSequence)).size).toBe(2);
    expect(world.log.lines.filter((line) => line.includes("policy update refused"))).toStrictEqual([]);
    expect(await ask(agent, "a question")).toBe("a question");
  });
});

describe("that a service is gone", () => {
  test("counts for nothing from one router, when the signed head lists it and the other does not say so", async () => {
    await twoRouters({}, { saysGone: ["files"] });
    const [agent, host] = [await onBoth("agent"), await onBoth("host")];
    await echo(host);
    expect(await ask(agent, "a question")).toBe("a question");
    routerAt(0).stop();
    // Now every router says it.
    await expect.poll(() => agent.policy.protocolOf("files"), { timeout: 5_000 }).toBeUndefined();
  });

  test("counts at once from the only router", async () => {
    world = await connectorWorld({ script: { saysGone: ["files"] } });
    const host = await world.connector("host");
    const agent = await world.connector("agent");
    host.host("files", "tcp", () => undefined);
    await world.router.until(() => world.router.hosted.has("files"));
    await expect(agent.dial("files")).rejects.toMatchObject({ name: "ConnectorError" });
    expect(agent.policy.protocolOf("files")).toBeUndefined();
  });
});

test("an identity that every router turns away is told so at once", async () => {
  await twoRouters({ turnsAway: true }, { turnsAway: true });
  const opening = Connector.open({ profile: await world.profile("agent"), log: world.log, connectTimeoutMs: 60_000 });
  await expect(opening).rejects.toMatchObject({ code: "IDENTITY_REVOKED" });
});

test("routers that share one address are found behind it", async () => {
  world = await connectorWorld();
  const port = await freePort();
  // Several, since the kernel chooses which one answers.
  for (const name of ["a", "b", "c", "d"]) {
    owned.push(await ScriptedRouter.start(world.authority, world.policy, {}, { name, sharedPort: port }));
  }
  const profile = { ...(await world.profile("agent")), routers: [`127.0.0.1:${port}`] };
  const agent = await Connector.open({ profile, log: world.log });
  owned.push(agent);
  await expect.poll(() => agent.tunnels.length, { timeout: 55_000 }).toBe(2);
  expect(new Set(agent.tunnels.map(({ router }) => router)).size).toBe(2);
}, 60_000);

test("a network of one router gets one tunnel, and no warning that there is no second", async () => {
  world = await connectorWorld();
  const agent = await world.connector("agent");
  await expect.poll(() => agent.tunnels.length).toBe(1);
  await expect.poll(() => world.router.looksSeen, { timeout: 10_000 }).toBeGreaterThan(1);
  expect(world.router.tunnelsSeen).toBe(1);
  expect(world.log.lines.filter((line) => !line.startsWith("tunnel open"))).toStrictEqual([]);
});

test("a host is announced with its cost and its precedence", async () => {
  world = await connectorWorld();
  const host = await world.connector("host");
  await host.host("files", "tcp", () => undefined, { cost: 7, precedence: "failed" }).ready;
  expect(world.router.announced).toStrictEqual([
    HostAnnounce.create({ service: "files", cost: 7, precedence: Precedence.PRECEDENCE_FAILED }),
  ]);
  for (const cost of [-1, 1.5, 65_536]) {
    expect(() => host.host("shell", "tcp", () => undefined, { cost })).toThrow(
      expect.objectContaining({ code: "COST_INVALID" }),
    );
  }
});
