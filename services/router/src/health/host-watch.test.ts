import { FrameType, WireCode } from "@sallyport/frame";
import { ProbeResult } from "@sallyport/proto/tunnel";
import { writeMessage, type IncomingStream, type TunnelStream } from "@sallyport/tunnel";
import { afterEach, describe, expect, test, vi } from "vitest";
import { RawTunnel } from "../testing/raw-tunnel.ts";
import { RouterNetwork, emptyAccept, type TestHost } from "../testing/router-network.ts";

const quickly = { probeEveryMs: 50, probeTimeoutMs: 2_000 };
/** For hosts that do not answer. */
const impatiently = { probeEveryMs: 50, probeTimeoutMs: 250 };
let network: RouterNetwork;

afterEach(async () => {
  await network[Symbol.asyncDispose]();
});

type Answer = "nothing" | "refusal" | "acceptOnly" | Pick<ProbeResult, "up" | "reason">;

/** A workload that hosts files and answers probes as the test says, and dials by an echo. */
class ProbedHost {
  answer: Answer = { up: true, reason: "" };
  probes = 0;
  /** For so long it holds up the process, this router's too, before it answers. */
  napMs = 0;

  readonly onOpen = (incoming: IncomingStream): void => {
    if (incoming.open.service === "sallyport.probe") void this.#answer(incoming);
    else echo(incoming.accept(emptyAccept));
  };

  async join(name = "shelf"): Promise<TestHost> {
    return await network.host(name, ["files"], { onOpen: this.onOpen });
  }

  async #answer(incoming: IncomingStream): Promise<void> {
    this.probes += 1;
    for (const until = performance.now() + this.napMs; performance.now() < until;);
    if (this.answer === "nothing") return;
    if (this.answer === "refusal") {
      incoming.refuse({ code: "NO_HOST", message: "what is a probe?", decisionId: "", ruleIds: [], sliceVersion: 0 });
      return;
    }
    const stream = incoming.accept(emptyAccept);
    stream.on("error", () => undefined);
    if (this.answer === "acceptOnly") return;
    await writeMessage(stream, ProbeResult, { service: incoming.open.probeService, ...this.answer });
    stream.end();
  }
}

function echo(stream: TunnelStream): void {
  stream.on("error", () => undefined).pipe(stream);
}

function health(): readonly string[] {
  return network.router.switchboard.hosts.list().map((entry) => entry.health.kind);
}

async function untilHealth(...kinds: readonly string[]): Promise<void> {
  await expect.poll(health, { timeout: 5_000, interval: 10 }).toStrictEqual(kinds);
}

describe("a host that answers", () => {
  test("counts as unknown until its first answer, and then as up", async () => {
    network = await RouterNetwork.start({ limits: quickly });
    const host = new ProbedHost();
    await host.join();
    expect(health()).toStrictEqual(["unknown"]);
    await untilHealth("up");
  });

  test("that it is down gets no dials: they are refused at once, with its reason, until two good answers in a row", async () => {
    network = await RouterNetwork.start({ limits: quickly });
    const host = new ProbedHost();
    await host.join();
    const agent = await network.connect("agent");
    await untilHealth("up");
    host.answer = { up: false, reason: "connection refused by 127.0.0.1:5432" };
    await untilHealth("down");
    const before = performance.now();
    const refused = await network.dial(agent, "files");
    expect(refused).toMatchObject({
      refusal: { code: "HOST_DOWN", message: expect.stringContaining("connection refused by 127.0.0.1:5432") },
    });
    expect(performance.now() - before).toBeLessThan(2_000);
    const probes = host.probes;
    host.answer = { up: true, reason: "" };
    await untilHealth("up");
    expect(host.probes - probes).toBeGreaterThanOrEqual(2);
    await network.circuit(agent, "files");
    expect(network.recorded("host.down")).toMatchObject([
      { service: "files", errorCode: "HOST_DOWN", reason: "connection refused by 127.0.0.1:5432", actorName: "shelf" },
    ]);
    expect(network.recorded("host.up")).toMatchObject([{ service: "files", outcome: "ok", actorName: "shelf" }]);
  });

  test("once well and once badly is not up again: who comes and goes draws no dials", async () => {
    network = await RouterNetwork.start({ limits: quickly });
    const host = new ProbedHost();
    host.answer = { up: false, reason: "" };
    await host.join();
    await untilHealth("down");
    const flapping = setInterval(() => (host.answer = { up: host.probes % 2 === 0, reason: "" }), 1);
    const probes = host.probes;
    await expect.poll(() => host.probes - probes, { timeout: 5_000 }).toBeGreaterThan(8);
    clearInterval(flapping);
    expect(network.recorded("host.up")).toHaveLength(0);
  });

  test("with something else is down, and its tunnel stays", async () => {
    network = await RouterNetwork.start({ limits: quickly });
    const { tunnel } = await network.host("shelf", ["files"], {
      onOpen: (incoming) => incoming.accept(emptyAccept).end(Buffer.alloc(64, 0xff)),
    });
    await untilHealth("down");
    expect(tunnel.streamCount).toBeLessThan(10);
    expect(network.recorded("tunnel.closed")).toHaveLength(0);
  });
});

describe("a host that does not answer", () => {
  test.each<Answer>(["nothing", "acceptOnly"])(
    "(%s) is down and its tunnel ends as unresponsive; a fresh one brings it back",
    async (answer) => {
      network = await RouterNetwork.start({ limits: impatiently });
      const host = new ProbedHost();
      host.answer = answer;
      const { tunnel } = await host.join();
      expect(await tunnel.closed).toStrictEqual({ kind: "goaway", code: WireCode.unresponsive });
      expect(network.recorded("host.down")).toMatchObject([{ reason: "it did not answer within 250 ms" }]);
      expect(network.recorded("tunnel.closed")).toMatchObject([{ errorCode: "UNRESPONSIVE" }]);
      expect(health()).toStrictEqual([]);
      host.answer = { up: true, reason: "" };
      await host.join();
      await untilHealth("up");
      await network.circuit(await network.connect("agent"), "files");
    },
  );

  test("but answers pings, as a process that hangs behind its TCP, is found out all the same", async () => {
    network = await RouterNetwork.start({ limits: impatiently });
    const raw = await RawTunnel.connect(network, "shelf");
    raw.announce("files");
    const goaway = await raw.next(FrameType.goaway);
    expect(goaway.payload.readUInt32BE(0)).toBe(WireCode.unresponsive);
    expect(network.recorded("host.down")).toHaveLength(1);
  });

  test("while a circuit carries bytes both ways is not ended: the probe is late, not the workload", async () => {
    network = await RouterNetwork.start({ limits: impatiently });
    const host = new ProbedHost();
    host.answer = "nothing";
    await host.join();
    const circuit = await network.circuit(await network.connect("agent"), "files");
    circuit.resume();
    const talking = setInterval(() => circuit.write("still here"), 10);
    await expect.poll(() => host.probes, { timeout: 5_000 }).toBeGreaterThan(3);
    clearInterval(talking);
    expect(network.recorded("tunnel.closed")).toHaveLength(0);
    await expect.poll(() => network.recorded("tunnel.closed").length, { timeout: 5_000 }).toBe(1);
  });

  test("while this very process slept gets its time anew", async () => {
    network = await RouterNetwork.start({ limits: { probeEveryMs: 50, probeTimeoutMs: 100 } });
    const host = new ProbedHost();
    await host.join();
    await untilHealth("up");
    const probes = host.probes;
    host.napMs = 300;
    await expect.poll(() => host.probes - probes, { timeout: 10_000 }).toBeGreaterThan(5);
    expect(network.recorded("tunnel.closed")).toHaveLength(0);
  });
});

test("a workload that takes no probes stays unknown, and is dialed", async () => {
  network = await RouterNetwork.start({ limits: quickly });
  const host = new ProbedHost();
  host.answer = "refusal";
  await host.join();
  await expect.poll(() => host.probes).toBeGreaterThan(0);
  await network.circuit(await network.connect("agent"), "files");
  expect(health()).toStrictEqual(["unknown"]);
  expect(network.recorded("host.down")).toHaveLength(0);
});

test("the longest pause that can be set is a pause", async () => {
  const random = vi.spyOn(Math, "random").mockReturnValue(0);
  network = await RouterNetwork.start({ limits: { probeEveryMs: 2 ** 31 - 1 } });
  const host = new ProbedHost();
  host.answer = "refusal";
  await host.join();
  await expect.poll(() => host.probes).toBe(1);
  // Time for a hundred more, were the pause none.
  for (let tunnel = 0; tunnel < 10; tunnel += 1) await network.connect("agent");
  expect(host.probes).toBe(1);
  random.mockRestore();
});

test("of two hosts the one that is up gets the dials", async () => {
  network = await RouterNetwork.start({ limits: quickly });
  const [well, ill] = [new ProbedHost(), new ProbedHost()];
  ill.answer = { up: false, reason: "out of disk" };
  const bad = await ill.join();
  await well.join();
  await expect.poll(() => health().toSorted()).toStrictEqual(["down", "up"]);
  const agent = await network.connect("agent");
  for (let dials = 0; dials < 4; dials += 1) await network.circuit(agent, "files");
  expect(bad.tunnel.streamCount).toBeLessThan(2);
  for (const { host } of network.router.switchboard.circuits.values())
    expect(host.identity.id.uri).toContain("/workload/shelf/");
  expect(network.router.switchboard.circuits.size).toBe(4);
});

test("live circuits stand in for probes, but not for all of them", async () => {
  network = await RouterNetwork.start({ limits: { probeEveryMs: 60, probeTimeoutMs: 250 } });
  const host = new ProbedHost();
  await host.join();
  const circuit = await network.circuit(await network.connect("agent"), "files");
  circuit.resume();
  const talking = setInterval(() => circuit.write("."), 5);
  await untilHealth("up");
  const [probes, startedAt] = [host.probes, performance.now()];
  await expect.poll(() => host.probes - probes, { timeout: 5_000 }).toBe(2);
  // Two probes among twelve looks, where without circuits each look is a probe.
  expect(performance.now() - startedAt).toBeGreaterThan(60 * 6);
  clearInterval(talking);
});

test("however many hosts there are, they are not asked more often than the limit, and each in its turn", async () => {
  network = await RouterNetwork.start({ limits: { probeEveryMs: 20, probeTimeoutMs: 1_000, maxProbesPerSecond: 50 } });
  const hosts = Array.from({ length: 10 }, () => new ProbedHost());
  await Promise.all(hosts.map(async (host) => await host.join()));
  const asked = (): number => hosts.reduce((sum, { probes }) => sum + probes, 0);
  const [before, startedAt] = [asked(), performance.now()];
  await expect.poll(() => Math.min(...hosts.map(({ probes }) => probes)), { timeout: 10_000 }).toBeGreaterThan(3);
  const seconds = (performance.now() - startedAt) / 1_000;
  expect((asked() - before) / seconds).toBeLessThan(65);
});
