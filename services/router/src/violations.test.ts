import { FrameType, WireCode, encodeFrame } from "@sallyport/frame";
import { Control, HostsDelta, HostsSnapshot } from "@sallyport/proto/tunnel";
import { answerViolations, violations } from "@sallyport/tunnel/testing";
import { expect, test } from "vitest";
import { RouterNetwork } from "./testing/router-network.ts";
import {
  hostAccepted,
  openPolicy,
  scriptedHost,
  scriptedWorkload,
  silentWorkload,
} from "./testing/scripted-workload.ts";

test.for(violations)("$title ends the tunnel with code $wireCode, and the next one works", async (violation) => {
  await using network = await RouterNetwork.start({ policy: openPolicy });
  await hostAccepted(network);
  const peer = await (violation.silentStart === undefined ? scriptedWorkload(network) : silentWorkload(network));
  await violation.act(peer);
  expect(await peer.goawayCode()).toBe(violation.wireCode);
  await network.circuit(await network.connect("agent"), "accepted");
});

test.for(answerViolations)(
  "$title ends the host's tunnel, and the dial is told that it is gone",
  async ({ answer }) => {
    await using network = await RouterNetwork.start({ policy: openPolicy });
    const host = await scriptedHost(network);
    const dialing = network.dial(await network.connect("agent"), "scripted");
    host.send(answer((await host.next(FrameType.open)).streamId));
    expect(await host.goawayCode()).toBe(WireCode.protocol);
    expect(await dialing).toMatchObject({ kind: "refused", refusal: { code: "NO_HOST" } });
  },
);

test.for([
  {
    what: "HOST_RESULT",
    message: { $case: "hostResult", value: { service: "x", accepted: true, refusal: undefined } },
  },
  { what: "HOSTS_SNAPSHOT", message: { $case: "hostsSnapshot", value: HostsSnapshot.create() } },
  { what: "HOSTS_DELTA", message: { $case: "hostsDelta", value: HostsDelta.create() } },
] as const)("$what, which only a router may say, ends a workload's tunnel", async ({ message }) => {
  await using network = await RouterNetwork.start({ policy: openPolicy });
  const peer = await scriptedWorkload(network);
  peer.send(encodeFrame(FrameType.control, 0, 0, Control.encode({ message }).finish()));
  expect(await peer.goawayCode()).toBe(WireCode.protocol);
});
