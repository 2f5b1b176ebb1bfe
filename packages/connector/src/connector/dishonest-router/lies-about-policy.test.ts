import { afterEach, describe, expect, test } from "vitest";
import { reachRules, type PolicyEnvelope } from "../../test-policy.test-support.ts";
import { dishonestWorld, failureOf, moreRules, write, type DishonestWorld } from "./dishonest-world.test-support.ts";

let network: DishonestWorld;

afterEach(async () => {
  await network[Symbol.asyncDispose]();
});

const noMoreFiles = `@id("no-more-files") forbid (principal, action == Sallyport::Action::"dial", resource == Sallyport::Service::"files");`;
/** A change of the slice of files that takes nothing from anyone. */
const unrelated = `@id("stranger-hosts") permit (principal == Sallyport::Workload::"stranger", action == Sallyport::Action::"host", resource == Sallyport::Service::"files");`;
const pastGraceMs = 15 * 60_000 + 1_000;

/** Gives a workload what was current when it was told to hold back, and nothing since. */
class Withholding {
  holdsBack = false;
  #last: readonly PolicyEnvelope[] = [];

  readonly tellPolicy = (envelopes: readonly PolicyEnvelope[]): readonly PolicyEnvelope[] => {
    if (!this.holdsBack) this.#last = envelopes;
    return this.#last;
  };
}

/** A clock that a test may put forward. */
function clock(): { readonly now: () => number; forward(ms: number): void } {
  let aheadMs = 0;
  return { now: () => Date.now() + aheadMs, forward: (ms) => (aheadMs += ms) };
}

describe("a lie about the slice version", () => {
  test("to one end only, newer or older, is a circuit of two beliefs", async () => {
    for (const told of [{ tellDialer: () => ({ sliceVersion: 0 }) }, { tellHost: () => ({ sliceVersion: 0 }) }]) {
      network = await dishonestWorld(told);
      expect((await failureOf(network.agent.dial("files"))).code).toMatch(/^(BINDING_MISMATCH|HANDSHAKE_FAILED)$/);
      await expect.poll(() => network.record()).toContainEqual(expect.stringContaining("BINDING_MISMATCH"));
      expect(network.taken).toHaveLength(0);
      if ("tellDialer" in told) await network[Symbol.asyncDispose]();
    }
  });

  test("newer than what it passes on, to the host: refused once it had the time to come", async () => {
    network = await dishonestWorld({ tellHost: () => ({ sliceVersion: 99 }) });
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    expect(await network.record()).toContain("host circuit.refused HEAD_STALE");
    const refused = network.world.router.events.find(({ vantage }) => vantage === "host");
    expect(refused?.reason).toBe("the router decided by slice 99, which it has not passed on; here is 1");
  });

  test("newer than what it passes on, to the dialer", async () => {
    network = await dishonestWorld({ tellDialer: () => ({ sliceVersion: 99 }) });
    const refused = await failureOf(network.agent.dial("files"));
    expect(refused).toMatchObject({ code: "PEER_NOT_ALLOWED", refusal: { code: "HEAD_STALE" } });
    expect(await network.record()).toContain("dialer circuit.refused HEAD_STALE");
  });

  test("older, to both, so that an old permission seems to stand: each end decides by what it has itself", async () => {
    const old = { sliceVersion: 1 };
    network = await dishonestWorld({ allowsAll: true, tellHost: () => old, tellDialer: () => old });
    network.world.policy.apply(reachRules + moreRules + noMoreFiles);
    await expect.poll(() => network.host.policy.versions.policyVersion).toBe(2);
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    expect(await network.record()).toContain("host circuit.refused POLICY_DENIED");
  });
});

describe("what a router withholds", () => {
  test("a revocation: the revoked agent dials on for as long as the last head is fresh, and no longer", async () => {
    const [router, time] = [new Withholding(), clock()];
    network = await dishonestWorld({ allowsAll: true, tellPolicy: router.tellPolicy }, time);
    await network.circuit();
    router.holdsBack = true;
    network.world.policy.deny("agent");
    const { dialed } = await network.circuit();
    dialed.destroy();
    time.forward(pastGraceMs);
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({
      refusal: { code: "HOST_REFUSED", message: expect.stringContaining("the policy head is 90") },
    });
    expect(await network.record()).toContain("host circuit.refused HEAD_STALE");
  });

  test("a revocation, but not the head that names its deny-list: nothing new is allowed at once", async () => {
    const router = new Withholding();
    const tellPolicy = (envelopes: readonly PolicyEnvelope[]): readonly PolicyEnvelope[] => {
      const held = router.tellPolicy(envelopes);
      return envelopes.map((one) => (one.kind === "denyList" ? (held.find(isDenyList) ?? one) : one));
    };
    network = await dishonestWorld({ allowsAll: true, tellPolicy });
    router.holdsBack = true;
    network.world.policy.deny("agent");
    await expect.poll(() => network.host.policy.freshness().kind).toBe("missing");
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    expect(await network.record()).toContain("host circuit.refused HEAD_STALE");
  });

  test("a change of rules, saying truly by which it decided: refused at once", async () => {
    const router = new Withholding();
    network = await dishonestWorld({ allowsAll: true, tellPolicy: router.tellPolicy });
    router.holdsBack = true;
    network.world.policy.apply(reachRules + moreRules + unrelated);
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    expect(await network.record()).toContain("host circuit.refused HEAD_STALE");
  });

  test("a change of rules, saying that it decided by the old ones: they end with the freshness of their head", async () => {
    const [router, time, old] = [new Withholding(), clock(), () => ({ sliceVersion: 1 })];
    network = await dishonestWorld(
      { allowsAll: true, tellPolicy: router.tellPolicy, tellHost: old, tellDialer: old },
      time,
    );
    router.holdsBack = true;
    network.world.policy.apply(reachRules + moreRules + noMoreFiles);
    (await network.circuit()).dialed.destroy();
    time.forward(pastGraceMs);
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    expect(await network.record()).toContain("host circuit.refused HEAD_STALE");
  });

  test("a change of rules, but not the head that lists it: the service is closed until it comes, and what runs goes on", async () => {
    const router = new Withholding();
    const tellPolicy = (envelopes: readonly PolicyEnvelope[]): readonly PolicyEnvelope[] => [
      ...router.tellPolicy(envelopes).filter(({ kind }) => kind === "slice"),
      ...envelopes.filter(({ kind }) => kind !== "slice"),
    ];
    const old = (): { readonly sliceVersion: number } => ({ sliceVersion: 1 });
    network = await dishonestWorld({ allowsAll: true, tellPolicy, tellHost: old, tellDialer: old });
    const { dialed, taken } = await network.circuit();
    router.holdsBack = true;
    network.world.policy.apply(reachRules + moreRules + noMoreFiles);
    await expect.poll(() => network.host.policy.versions.policyVersion).toBe(2);
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    expect(await network.record()).toContain("host circuit.refused HEAD_STALE");
    await write(dialed, "still here");
    expect(taken.destroyed).toBe(false);
  });
});

describe("what one router withholds and the other does not", () => {
  test("a revocation, a change of rules, and its head: the honest router's word is enough, at once", async () => {
    const router = new Withholding();
    const lying = { allowsAll: true, tellPolicy: router.tellPolicy };
    network = await dishonestWorld(lying, { more: [{ allowsAll: true }] });
    const [liar, honest] = network.world.routers;
    for (const one of [liar, honest]) await one?.until(() => one.hosted.has("files"));
    (await network.circuit()).dialed.destroy();
    router.holdsBack = true;
    network.world.policy.deny("agent");
    await expect.poll(() => network.host.policy.versions.denyListVersion).toBe(2);
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    expect(await network.record()).toContain("host circuit.refused IDENTITY_DENIED");
    expect(await network.policyRecord()).toStrictEqual([]);
  });

  test("a head that is late by a moment is no lie: only a router that goes behind itself is on record", async () => {
    const router = new Withholding();
    network = await dishonestWorld({ tellPolicy: router.tellPolicy }, { more: [{}] });
    router.holdsBack = true;
    network.world.policy.apply(reachRules + moreRules);
    await expect.poll(() => network.host.policy.versions.policyVersion).toBe(2);
    network.world.policy.apply(reachRules + moreRules);
    await expect.poll(() => network.host.policy.versions.policyVersion).toBe(3);
    expect(await network.policyRecord()).toStrictEqual([]);
  });
});

describe("what a router makes up", () => {
  test("an old head after a newer one changes nothing, and is on record", async () => {
    const told: PolicyEnvelope[][] = [];
    const tellPolicy = (envelopes: readonly PolicyEnvelope[]): readonly PolicyEnvelope[] => {
      told.push([...envelopes]);
      return told.length > 8 ? [...envelopes, ...(told[0] ?? [])] : envelopes;
    };
    network = await dishonestWorld({ allowsAll: true, tellPolicy });
    network.world.policy.deny("agent");
    for (let version = 2; told.length < 9; version += 1) {
      network.world.policy.apply(reachRules + moreRules);
      await expect.poll(() => network.host.policy.versions.policyVersion).toBe(version);
    }
    expect(await failureOf(network.agent.dial("files"))).toMatchObject({ refusal: { code: "HOST_REFUSED" } });
    await expect.poll(() => network.policyRecord()).toContain("host policy.refused REPLAYED");
  });

  test("an envelope with a bit turned changes nothing, and is on record", async () => {
    let turns = false;
    network = await dishonestWorld({
      allowsAll: true,
      tellPolicy: (envelopes) => (turns ? envelopes.map(turned) : envelopes),
    });
    turns = true;
    const before = network.host.policy.versions;
    network.world.policy.apply(reachRules + moreRules + noMoreFiles);
    await expect.poll(() => network.policyRecord()).toContain("host policy.refused ENVELOPE_INVALID");
    expect(network.world.router.events.find(({ kind }) => kind === "policy.refused")).toMatchObject({
      actorId: "spiffe://sallyport.local/router/r1",
      routerId: "spiffe://sallyport.local/router/r1",
    });
    expect(network.host.policy.versions).toStrictEqual(before);
  });
});

function isDenyList({ kind }: PolicyEnvelope): boolean {
  return kind === "denyList";
}

function turned({ kind, envelope }: PolicyEnvelope): PolicyEnvelope {
  const payload = Buffer.from(envelope.payload);
  payload.writeUInt8(payload.readUInt8(payload.length - 1) ^ 1, payload.length - 1);
  return { kind, envelope: { ...envelope, payload } };
}
