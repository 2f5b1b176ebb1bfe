import { workloadId } from "@sallyport/identity";
import { beforeAll, describe, expect, test } from "vitest";
import { reachRules } from "../test-policy.test-support.ts";
import { CircuitWatch } from "./circuit-watch.ts";
import { circuitWorld, type CircuitWorld } from "./circuit-world.test-support.ts";

let world: CircuitWorld;

beforeAll(async () => {
  world = await circuitWorld();
});

test("no circuit outlives the certificate of either end", async () => {
  const agentId = workloadId(world.authority.trustDomain, "agent", "1");
  const shortLived = await world.authority.source(agentId, { ttlSeconds: 60, now: new Date(Date.now() - 58_500) });
  const attempt = world.connect({ dialerIdentity: shortLived });
  const [dialer, host] = await Promise.all([attempt.dialer, attempt.host]);
  using watch = new CircuitWatch(world.policy.state(), world.host);
  watch.add(host);
  expect(await host.closedBy).toStrictEqual({ kind: "expired" });
  expect(Date.now()).toBeGreaterThanOrEqual(shortLived.current().notAfter.getTime());
  expect((await dialer.closedBy).kind).toBe("reset");
  expect(watch.circuits).toStrictEqual([]);
});

test("each circuit ends with its own certificates, whichever was watched first", async () => {
  const agentId = workloadId(world.authority.trustDomain, "agent", "1");
  const ending = async (ttlMs: number): ReturnType<typeof world.authority.source> =>
    await world.authority.source(agentId, { ttlSeconds: 60, now: new Date(Date.now() - 60_000 + ttlMs) });
  const attempts = [await ending(2_900), await ending(1_700)].map((dialerIdentity) =>
    world.connect({ dialerIdentity }),
  );
  const hosts = await Promise.all(attempts.map(async ({ dialer, host }) => (await Promise.all([dialer, host]))[1]));
  using watch = new CircuitWatch(world.policy.state(), world.host);
  for (const host of hosts) watch.add(host);
  const [later, sooner] = hosts;
  expect(await sooner?.closedBy).toStrictEqual({ kind: "expired" });
  expect(watch.circuits).toStrictEqual([later]);
  expect(await later?.closedBy).toStrictEqual({ kind: "expired" });
});

describe("at a change of policy", () => {
  test("a circuit that is still allowed goes on, one that is not is cut with the decision", async () => {
    const attempt = world.connect();
    const [dialer, host] = await Promise.all([attempt.dialer, attempt.host]);
    using watch = new CircuitWatch(world.policy.state(), world.host);
    watch.add(host);
    world.policy.apply(
      `${reachRules}@id("more") permit (principal, action == Sallyport::Action::"dial", resource == Sallyport::Service::"shell");`,
    );
    await new Promise((resolve) => dialer.write("still here", resolve));
    expect(watch.circuits).toStrictEqual([host]);
    world.policy.apply(
      `${reachRules}@id("no-more-files") forbid (principal, action == Sallyport::Action::"dial", resource == Sallyport::Service::"files");`,
    );
    expect(await host.closedBy).toMatchObject({
      kind: "revoked",
      decision: { code: "POLICY_DENIED" },
    });
    expect((await dialer.closedBy).kind).not.toBe("ended");
  });
});

// Last: a denied agent stays denied.
test("a dialer on the deny-list is cut, and nobody else", async () => {
  world.policy.apply(reachRules);
  const attempts = [world.connect(), world.connect()];
  const pairs = await Promise.all(attempts.map(({ dialer, host }) => Promise.all([dialer, host])));
  const state = world.policy.state();
  using watch = new CircuitWatch(state, world.host);
  for (const [, host] of pairs) watch.add(host);
  world.policy.deny("stranger");
  expect(watch.circuits).toHaveLength(2);
  world.policy.deny("agent");
  for (const [, host] of pairs)
    expect(await host.closedBy).toMatchObject({ kind: "revoked", decision: { code: "IDENTITY_DENIED" } });
});
