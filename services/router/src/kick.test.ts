import { WireCode } from "@sallyport/frame";
import { KickRequest } from "@sallyport/proto/router";
import type { TunnelStream } from "@sallyport/tunnel";
import { expect, test } from "vitest";
import { kick } from "./rpc/kick.ts";
import { adminCall } from "./testing/admin-call.ts";
import { RouterNetwork } from "./testing/router-network.ts";

type Target = KickRequest["target"];

async function order(network: RouterNetwork, target: Target): Promise<{ tunnels: number; circuits: number }> {
  const request = { ...KickRequest.create({ reason: "misbehaves" }), target };
  return await kick(network.router.switchboard)(request, await adminCall(network.authority));
}

async function wireCodeOf(stream: TunnelStream): Promise<unknown> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once("close", () => resolve()));
  return stream.errored;
}

const asked = "Ended by spiffe://sallyport.local/admin/local: misbehaves";

test("a kicked circuit ends on both sides, its tunnels live on, and who asked is on record", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  const other = await network.circuit(dialer, "files");
  const [circuit] = [...network.router.switchboard.circuits.values()];
  expect(await order(network, { $case: "circuitId", value: circuit?.circuitId ?? "" })).toEqual({
    tunnels: 0,
    circuits: 1,
  });
  for (const end of [stream, hosted])
    expect(await wireCodeOf(end)).toMatchObject({ code: "STREAM_RESET", wireCode: WireCode.kicked });
  expect(other.destroyed).toBe(false);
  expect(network.router.switchboard.tunnels.size).toBe(2);
  expect(network.recorded("circuit.closed")).toMatchObject([
    { outcome: "disconnected", errorCode: "KICKED", reason: asked },
  ]);
});

test("a kicked tunnel ends with its circuits, and its workload may come back", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  await network.circuit(dialer, "files");
  const hosted = await host.next();
  const [, tunnel] = [...network.router.switchboard.tunnels];
  expect(await order(network, { $case: "tunnelId", value: tunnel?.tunnelId ?? "" })).toEqual({
    tunnels: 1,
    circuits: 1,
  });
  expect(await dialer.tunnel.closed).toMatchObject({ kind: "goaway", code: WireCode.kicked });
  expect(await wireCodeOf(hosted)).toMatchObject({ wireCode: WireCode.kicked });
  expect(network.recorded("tunnel.closed")).toMatchObject([{ actorName: "agent", errorCode: "KICKED", reason: asked }]);
  await network.circuit(await network.connect("agent"), "files");
});

test("by its name all tunnels of a workload are kicked, by a SPIFFE ID those of one instance, and nobody else's", async () => {
  await using network = await RouterNetwork.start();
  const { authority } = network;
  const [first, second] = [
    await network.connectAs(await authority.source(network.workloadId("agent", "1"))),
    await network.connectAs(await authority.source(network.workloadId("agent", "2"))),
  ];
  const other = await network.connect("other");
  expect(await order(network, { $case: "workload", value: first.id.uri })).toMatchObject({ tunnels: 1 });
  await first.tunnel.closed;
  await network.connectAs(await authority.source(network.workloadId("agent", "1")));
  expect(await order(network, { $case: "workload", value: "agent" })).toMatchObject({ tunnels: 2 });
  await second.tunnel.closed;
  expect([...network.router.switchboard.tunnels].map(({ peer }) => peer.identity.id.uri)).toEqual([other.id.uri]);
});

test.each<[string, Target, string]>([
  ["nothing", undefined, "TARGET_INVALID"],
  ["an empty name", { $case: "workload", value: "" }, "TARGET_INVALID"],
  ["a workload without a tunnel", { $case: "workload", value: "nobody" }, "TARGET_NOT_FOUND"],
  ["a tunnel that is not here", { $case: "tunnelId", value: "nowhere" }, "TARGET_NOT_FOUND"],
  ["a circuit that is not here", { $case: "circuitId", value: "nowhere" }, "TARGET_NOT_FOUND"],
])("%s is refused with its code", async (_, target, code) => {
  await using network = await RouterNetwork.start();
  await network.connect("agent");
  await expect(order(network, target)).rejects.toMatchObject({ code, field: "target" });
  expect(network.router.switchboard.tunnels.size).toBe(1);
});
