import { expect, test } from "vitest";
import { SourceAdmission, sourceKey, type SourceLimits } from "./source-admission.ts";

const limits: SourceLimits = {
  maxUnproven: 4,
  maxUnprovenPerSource: 2,
  connectionsPerSecondPerSource: 1,
  connectionBurstPerSource: 3,
  maxSources: 8,
};

function tickets(admission: SourceAdmission, address: string, count: number): readonly string[] {
  return Array.from({ length: count }, () => {
    const answer = admission.admit(address);
    return answer.kind === "admitted" ? "admitted" : answer.reason;
  });
}

test("one source holds only its share of unproven connections", () => {
  const admission = new SourceAdmission(limits, () => 0);
  expect(tickets(admission, "192.0.2.1", 3)).toEqual(["admitted", "admitted", "source-concurrency"]);
  expect(tickets(admission, "192.0.2.2", 1)).toEqual(["admitted"]);
});

test("all sources together hold only the total", () => {
  const admission = new SourceAdmission(limits, () => 0);
  tickets(admission, "192.0.2.1", 2);
  tickets(admission, "192.0.2.2", 2);
  expect(tickets(admission, "192.0.2.3", 1)).toEqual(["total"]);
});

test("a returned ticket makes room once, however often it is returned", () => {
  const admission = new SourceAdmission(limits, () => 0);
  const first = admission.admit("192.0.2.1");
  admission.admit("192.0.2.1");
  if (first.kind === "admitted") {
    first.ticket[Symbol.dispose]();
    first.ticket[Symbol.dispose]();
  }
  expect(admission.unproven).toBe(1);
});

test("a source that reconnects too fast waits for its rate", () => {
  let now = 0;
  const admission = new SourceAdmission(limits, () => now);
  for (let i = 0; i < 3; i += 1) {
    const answer = admission.admit("192.0.2.1");
    if (answer.kind === "admitted") answer.ticket[Symbol.dispose]();
  }
  expect(tickets(admission, "192.0.2.1", 1)).toEqual(["source-rate"]);
  now = 1_000;
  expect(tickets(admission, "192.0.2.1", 1)).toEqual(["admitted"]);
});

test("memory of sources is bounded, and sources with connections are not forgotten", () => {
  const admission = new SourceAdmission({ ...limits, maxUnproven: 1_000 }, () => 0);
  tickets(admission, "192.0.2.1", 2);
  for (let i = 0; i < 200; i += 1) {
    const answer = admission.admit(`198.51.100.${i}`);
    if (answer.kind === "admitted") answer.ticket[Symbol.dispose]();
  }
  expect(tickets(admission, "192.0.2.1", 1)).toEqual(["source-concurrency"]);
});

test("an IPv6 source counts by its /64, a mapped one as IPv4", () => {
  expect(sourceKey("2001:db8:0:1::1")).toBe(sourceKey("2001:db8:0:1:ffff::2"));
  expect(sourceKey("2001:db8::1")).not.toBe(sourceKey("2001:db8:0:1::1"));
  expect(sourceKey("fe80::1%eth0")).toBe(sourceKey("fe80::2"));
  expect(sourceKey("::ffff:192.0.2.1")).toBe("192.0.2.1");
});
