import { identityOf, workloadId } from "@sallyport/identity";
import type { Decision } from "@sallyport/policy-engine";
import { expect, test } from "vitest";
import { BusyMeter } from "./busy-meter.ts";
import { Circuit, type CircuitSide } from "./circuit.ts";

const decision: Decision = {
  decision: "allow",
  decisionId: "",
  ruleIds: [],
  sliceVersion: 1,
  code: "",
  reason: "",
  decideUs: 1,
};

function circuit(circuitId: string, dialer: string, host: string): Circuit {
  const side = (name: string): CircuitSide => {
    const identity = identityOf(workloadId("sallyport.local", name, "1"));
    const party = { identity, serial: name, issuers: [], tlsGroup: null, routerId: null };
    const outlet = {
      forward: () => undefined,
      writeFrame: () => undefined,
      dropStream: () => undefined,
      flush: () => undefined,
    };
    return { party, port: { portId: name, outlet, release: () => undefined }, streamId: 1 };
  };
  return new Circuit({
    circuitId,
    service: "files",
    decision,
    dialer: side(dialer),
    host: side(host),
    onEnd: () => undefined,
  });
}

test("the busiest circuits and workloads are those that moved most since the look before", () => {
  let now = 0;
  const meter = new BusyMeter(() => now);
  const [old, quick, idle] = [circuit("old", "a", "s"), circuit("quick", "b", "s"), circuit("idle", "c", "s")];
  old.dialerLeg.bytes = 1_000_000;
  expect(meter.look([old, quick, idle], 2)).toEqual({ circuits: [], workloads: [] });
  now = 2_000;
  old.dialerLeg.bytes += 100;
  quick.hostLeg.bytes += 400;
  const fresh = circuit("fresh", "b", "s");
  fresh.dialerLeg.bytes = 200;
  const { circuits, workloads } = meter.look([old, quick, idle, fresh], 2);
  expect(circuits.map((busy) => [busy.circuit.circuitId, busy.bytesPerSecond])).toEqual([
    ["quick", 200],
    ["fresh", 100],
  ]);
  const id = (name: string): string => workloadId("sallyport.local", name, "1").uri;
  expect(workloads).toEqual([
    { spiffeId: id("s"), bytesPerSecond: 350, circuits: 3 },
    { spiffeId: id("b"), bytesPerSecond: 300, circuits: 2 },
  ]);
});
