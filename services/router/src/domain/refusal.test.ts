import { MAX_OPENING_PAYLOAD_BYTES } from "@sallyport/frame";
import { Refusal } from "@sallyport/proto/tunnel";
import { expect, test } from "vitest";
import { hostRefusal, refusalOf } from "./refusal.ts";

const bytesOf = (refusal: Refusal): number => Refusal.encode(refusal).finish().length;
const rules = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`.padEnd(64, "é"));

test("a refusal of the largest size that a host can send still fits the frame that passes it on", () => {
  const ruleIds = [...Array.from({ length: 15 }, () => "é".repeat(128)), "é".repeat(100)];
  const said = { code: "", message: "", decisionId: "", ruleIds, sliceVersion: 0 };
  expect(bytesOf(said)).toBeLessThan(MAX_OPENING_PAYLOAD_BYTES);
  expect(bytesOf(hostRefusal(said))).toBeLessThanOrEqual(MAX_OPENING_PAYLOAD_BYTES);
});

test("a dial that hundreds of rules forbid is refused by the first of them, and not with the whole tunnel", () => {
  const decision = {
    decision: "deny",
    code: "POLICY_DENIED",
    decisionId: "0199",
    ruleIds: rules(300),
    sliceVersion: 1,
    reason: "é".repeat(256),
    decideUs: 1,
  } as const;
  const told = refusalOf(decision, "dial", "vault");
  expect(bytesOf(told)).toBeLessThanOrEqual(MAX_OPENING_PAYLOAD_BYTES);
  expect(told).toMatchObject({ decisionId: "0199", ruleIds: decision.ruleIds.slice(0, 8) });
});
