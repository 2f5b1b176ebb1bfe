/** The dialer's router and the host's are two, joined by a link, and one of them lies. */
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import type { Circuit } from "../../circuit/circuit.ts";
import { Connector } from "../connector.ts";
import { connectorWorld, type ConnectorWorld } from "../connector-world.test-support.ts";
import type { RouterScript, ScriptedRouter } from "../scripted-router.test-support.ts";
import { failureOf, moreRules, write } from "./dishonest-world.test-support.ts";
import { RecordRelay } from "./record-relay.test-support.ts";

const uriOf = (name: string): string => `spiffe://sallyport.local/workload/${name}/1`;

class LinkedWorld implements AsyncDisposable {
  readonly taken: Circuit[] = [];
  readonly #world: ConnectorWorld;
  readonly #connectors: Connector[] = [];

  private constructor(world: ConnectorWorld) {
    this.#world = world;
  }

  /** Dialers have their tunnels to the near router, hosts to the far one: `host` hosts files and shell, `annex` shell. */
  static async start(near: RouterScript, far: RouterScript): Promise<LinkedWorld> {
    const world = await connectorWorld({ script: near, more: [far], rules: moreRules });
    const linked = new LinkedWorld(world);
    const [first, second] = world.routers;
    if (first === undefined || second === undefined) throw new Error("there are two routers");
    first.linkTo(second);
    for (const [name, services] of [
      ["host", ["files", "shell"]],
      ["annex", ["shell"]],
    ] as const) {
      const connector = await linked.#connect(name, second);
      const take = (circuit: Circuit): void => void linked.taken.push(circuit);
      await Promise.all(services.map((service) => connector.host(service, "tcp", take).ready));
    }
    return linked;
  }

  async dialer(name: string): Promise<Connector> {
    return await this.#connect(name, this.#world.router);
  }

  async record(): Promise<readonly string[]> {
    await Promise.all(this.#connectors.map((one) => one.flushAudit(AbortSignal.timeout(10_000))));
    return this.#world.routers
      .flatMap(({ events }) => events)
      .filter(({ kind }) => kind.startsWith("circuit."))
      .map(({ vantage, kind, errorCode }) => `${vantage} ${kind} ${errorCode}`.trim());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#connectors.map((one) => one[Symbol.asyncDispose]()));
    await this.#world[Symbol.asyncDispose]();
  }

  async #connect(name: string, router: ScriptedRouter): Promise<Connector> {
    const profile = { ...(await this.#world.profile(name)), routers: [router.address] };
    const connector = await Connector.open({ profile, log: this.#world.log });
    this.#connectors.push(connector);
    return connector;
  }
}

let linked: LinkedWorld;

afterEach(async () => {
  await linked[Symbol.asyncDispose]();
});

async function expectNoCircuit(...onRecord: readonly string[]): Promise<void> {
  await expect.poll(() => linked.record(), { timeout: 5_000 }).toStrictEqual(expect.arrayContaining([...onRecord]));
  expect(linked.taken).toHaveLength(0);
}

test("two honest routers join a dialer and a host by their link", async () => {
  linked = await LinkedWorld.start({}, {});
  const dialed = await (await linked.dialer("agent")).dial("files");
  await expect.poll(() => linked.taken.length).toBe(1);
  const [taken] = linked.taken;
  if (taken === undefined) throw new Error("just counted");
  dialed.end("question");
  expect(await text(taken)).toBe("question");
  expect(taken.peer.identity.id.uri).toBe(uriOf("agent"));
});

describe("a near router that lies to the far one", () => {
  test("that a stranger is an agent: the far router believes it, the host does not", async () => {
    linked = await LinkedWorld.start({ allowsAll: true, tellHost: () => ({ dialerId: uriOf("agent") }) }, {});
    await failureOf((await linked.dialer("stranger")).dial("files"));
    await expectNoCircuit("host circuit.refused PEER_MISMATCH");
  });

  test("that one agent is another", async () => {
    linked = await LinkedWorld.start({ tellHost: () => ({ dialerId: uriOf("rival") }) }, {});
    await failureOf((await linked.dialer("agent")).dial("files"));
    await expectNoCircuit("host circuit.refused PEER_MISMATCH");
  });

  test("that its dialer, whom no policy allows, may dial: the far router says no by its own", async () => {
    linked = await LinkedWorld.start({ allowsAll: true }, {});
    expect(await failureOf((await linked.dialer("stranger")).dial("files"))).toMatchObject({
      refusal: { code: "POLICY_DENIED" },
    });
    await expectNoCircuit("dialer circuit.refused POLICY_DENIED");
  });

  test("that its dialer asked for another service", async () => {
    linked = await LinkedWorld.start({ tellHost: () => ({ service: "shell" }) }, { asks: () => "host" });
    await failureOf((await linked.dialer("agent")).dial("files"));
    await expectNoCircuit("host circuit.refused BINDING_MISMATCH");
  });
});

describe("a far router that lies", () => {
  test("by asking a workload that may not host the service", async () => {
    linked = await LinkedWorld.start({}, { asks: () => "annex", tellHost: () => ({ service: "shell" }) });
    expect(await failureOf((await linked.dialer("agent")).dial("files"))).toMatchObject({ code: "PEER_NOT_ALLOWED" });
    await expectNoCircuit("dialer circuit.refused POLICY_DENIED", "host circuit.refused HANDSHAKE_FAILED");
  });

  test("about which workload it asked", async () => {
    linked = await LinkedWorld.start({}, { tellDialer: () => ({ hostId: uriOf("annex") }) });
    expect(await failureOf((await linked.dialer("agent")).dial("files"))).toMatchObject({ code: "PEER_MISMATCH" });
    await expectNoCircuit("dialer circuit.refused PEER_MISMATCH");
  });

  test("by letting through, in step with a near router that lies as well, whom no policy allows", async () => {
    linked = await LinkedWorld.start({ allowsAll: true }, { allowsAll: true });
    expect(await failureOf((await linked.dialer("stranger")).dial("files"))).toMatchObject({
      refusal: { code: "HOST_REFUSED" },
    });
    await expectNoCircuit("host circuit.refused POLICY_DENIED");
  });

  test("about the bytes", async () => {
    const router = new RecordRelay();
    linked = await LinkedWorld.start({}, { relay: router.relay });
    const dialed = await (await linked.dialer("agent")).dial("files");
    await expect.poll(() => linked.taken.length).toBe(1);
    router.tamper = (record) => [Buffer.concat([record.subarray(0, -1), Buffer.from([~(record.at(-1) ?? 0) & 0xff])])];
    await write(dialed, "pay 10 to bob");
    await expect.poll(() => linked.record()).toContain("host circuit.closed altered");
  });
});
