import { StreamOpen } from "@sallyport/proto/tunnel";
import { afterEach, describe, expect, test } from "vitest";
import type { Circuit } from "../../circuit/circuit.ts";
import { splice, type JoinedStreams } from "../scripted-router.test-support.ts";
import { dishonestWorld, failureOf, type DishonestWorld } from "./dishonest-world.test-support.ts";

let network: DishonestWorld;

afterEach(async () => {
  await network[Symbol.asyncDispose]();
});

const uriOf = (name: string): string => `spiffe://sallyport.local/workload/${name}/1`;

/** The other end is gone before it could prove anything; or it read the liar's binding first, which comes to the same. */
const other = "(HANDSHAKE_FAILED|BINDING_MISMATCH)";
const isOther = new RegExp(`^${other}$`);

/** Nobody has a circuit, and the record of one end says why; the other's says at least that there was none. */
async function expectNoCircuit(...onRecord: readonly string[]): Promise<void> {
  await expect
    .poll(() => network.record(), { timeout: 5_000 })
    .toStrictEqual(expect.arrayContaining(onRecord.map((line) => expect.stringMatching(new RegExp(`^${line}$`)))));
  expect(await network.record()).not.toContain(expect.stringContaining("circuit.opened"));
  expect(network.taken).toHaveLength(0);
}

describe("the wrong service or circuit", () => {
  test("two services of one host swapped, both of which this dialer may use", async () => {
    network = await dishonestWorld({
      tellHost: ({ service }) => ({ service: service === "files" ? "shell" : "files" }),
    });
    for (const service of ["files", "shell"])
      expect((await failureOf(network.agent.dial(service))).code).toMatch(isOther);
    await expectNoCircuit("host circuit.refused BINDING_MISMATCH", `dialer circuit.refused ${other}`);
  });

  test("two circuits of one host swapped: same service, same dialer", async () => {
    network = await dishonestWorld({ relay: crossed() });
    const dials = await Promise.all([1, 2].map(async () => await failureOf(network.agent.dial("files"))));
    for (const { code } of dials) expect(code).toMatch(isOther);
    await expectNoCircuit("host circuit.refused BINDING_MISMATCH", `dialer circuit.refused ${other}`);
  });

  test("two circuits of one host swapped: same service, two dialers", async () => {
    network = await dishonestWorld({ relay: crossed() });
    const rival = await network.connector("rival");
    const dials = [network.agent, rival].map(async (dialer) => await failureOf(dialer.dial("files")));
    for (const { code } of await Promise.all(dials)) expect(code).toMatch(isOther);
    await expectNoCircuit("host circuit.refused PEER_MISMATCH", `dialer circuit.refused ${other}`);
  });

  test("another nonce than the dialer's", async () => {
    network = await dishonestWorld({ tellHost: () => ({ circuitNonce: Buffer.alloc(16, 1) }) });
    expect((await failureOf(network.agent.dial("files"))).code).toMatch(isOther);
    await expectNoCircuit("host circuit.refused BINDING_MISMATCH", `dialer circuit.refused ${other}`);
  });

  test("a nonce of another length, or none", async () => {
    network = await dishonestWorld({ tellHost: () => ({ circuitNonce: Buffer.alloc(0) }) });
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "PROTOCOL" } });
    await expectNoCircuit("host circuit.refused PROTOCOL", "dialer circuit.refused PROTOCOL");
  });
});

describe("the wrong host", () => {
  test("a workload that may not host the service, told truly what is wanted: it hosts no such thing, and says so on record", async () => {
    network = await dishonestWorld({ asks: () => "annex" });
    await (await network.connector("annex")).host("shell", "tcp", destroy).ready;
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "NO_HOST" } });
    await expectNoCircuit("host circuit.refused NO_HOST", "dialer circuit.refused NO_HOST");
  });

  test("a workload that may not host the service, told that another service is wanted", async () => {
    network = await dishonestWorld({ asks: () => "annex", tellHost: () => ({ service: "shell" }) });
    await (await network.connector("annex")).host("shell", "tcp", destroy).ready;
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({
      code: "PEER_NOT_ALLOWED",
      refusal: { code: "POLICY_DENIED" },
    });
    await expectNoCircuit("dialer circuit.refused POLICY_DENIED", "host circuit.refused HANDSHAKE_FAILED");
  });

  test("a workload that offers a service which policy does not let it host: it takes nobody's word that it may", async () => {
    network = await dishonestWorld({ asks: () => "annex" });
    const annex = await network.connector("annex");
    // The router would take the offer; a policy that forbids it is what the dialer has.
    await expect(annex.host("files", "tcp", destroy).ready).rejects.toMatchObject({ code: "HOST_REFUSED" });
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({
      code: "PEER_NOT_ALLOWED",
      refusal: { code: "POLICY_DENIED" },
    });
    await expectNoCircuit("dialer circuit.refused POLICY_DENIED");
  });

  test("another host than the one that the dialer is told of", async () => {
    network = await dishonestWorld({ tellDialer: () => ({ hostId: uriOf("annex") }) });
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ code: "PEER_MISMATCH" });
    await expectNoCircuit("dialer circuit.refused PEER_MISMATCH", `host circuit.refused ${other}`);
  });
});

describe("the wrong dialer", () => {
  test("another dialer than the one that the host is told of, though both may dial", async () => {
    network = await dishonestWorld({ tellHost: () => ({ dialerId: uriOf("rival") }) });
    expect((await failureOf(network.agent.dial("files"))).code).toMatch(isOther);
    await expectNoCircuit("host circuit.refused PEER_MISMATCH", `dialer circuit.refused ${other}`);
  });

  test("nobody, or no workload", async () => {
    for (const dialerId of ["", "spiffe://sallyport.local/router/r1", "root"]) {
      network = await dishonestWorld({ tellHost: () => ({ dialerId }) });
      expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "PROTOCOL" } });
      await expectNoCircuit("host circuit.refused PROTOCOL");
      if (dialerId !== "root") await network[Symbol.asyncDispose]();
    }
  });

  test("one whom no policy allows, under its own name", async () => {
    network = await dishonestWorld({ allowsAll: true });
    const stranger = await network.connector("stranger");
    expect(await failureOf(stranger.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    await expectNoCircuit("host circuit.refused POLICY_DENIED", "dialer circuit.refused HOST_REFUSED");
  });

  test("one whom no policy allows, under the name of one who may", async () => {
    network = await dishonestWorld({ allowsAll: true, tellHost: () => ({ dialerId: uriOf("agent") }) });
    const stranger = await network.connector("stranger");
    expect((await failureOf(stranger.dial("files"))).code).toMatch(isOther);
    await expectNoCircuit("host circuit.refused PEER_MISMATCH", `dialer circuit.refused ${other}`);
  });

  test("the router itself, without any dialer: it can open a stream and prove nothing on it", async () => {
    network = await dishonestWorld({});
    const circuitNonce = Buffer.alloc(16, 7);
    const open = StreamOpen.create({ service: "files", circuitNonce, dialerId: uriOf("agent"), circuitId: "made-up" });
    const result = await network.world.router.tunnelOf("host").openStream(open);
    if (result.kind === "refused") throw new Error("an OPEN that looks right is refused only by what follows");
    result.stream.end("GET / HTTP/1.1\r\n\r\n");
    await expectNoCircuit("host circuit.refused HANDSHAKE_FAILED");
  });
});

/** Joins the dialer of each of two circuits to the host's stream of the other. */
function crossed(): (streams: JoinedStreams) => void {
  let held: JoinedStreams | undefined;
  return (streams) => {
    if (held === undefined) {
      held = streams;
      return;
    }
    splice(streams.dialer, held.host);
    splice(held.dialer, streams.host);
  };
}

function destroy(circuit: Circuit): void {
  circuit.destroy();
}
