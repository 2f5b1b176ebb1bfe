import { WireCode } from "@sallyport/frame";
import { Refusal } from "@sallyport/proto/tunnel";
import { describe, expect, test } from "vitest";
import type { CircuitEnd } from "../../circuit/circuit-end.ts";
import { TestPolicy, reachRules } from "../../test-policy.test-support.ts";
import { createTestAuthority } from "@sallyport/testing";
import { workloadId } from "@sallyport/identity";
import { ConnectorError, type ConnectorErrorCode } from "../../errors.ts";
import { mayDialAgainAfter, mayPass } from "./dial-again.ts";

describe("a conversation goes on over another circuit", () => {
  test.each<CircuitEnd>([
    { kind: "truncated", reason: "its tunnel was lost" },
    { kind: "altered", reason: "a record was altered" },
    { kind: "expired" },
    { kind: "reset", by: "router", code: WireCode.gone },
    { kind: "reset", by: "router", code: WireCode.drained },
    { kind: "reset", by: "router", code: WireCode.kicked },
    { kind: "reset", by: "router", code: WireCode.limit },
    { kind: "reset", by: "peer", code: WireCode.gone },
    { kind: "reset", by: "peer", code: WireCode.cancelled },
  ])("after %o", (end) => {
    expect(mayDialAgainAfter(end)).toBe(true);
  });

  test.each<CircuitEnd>([
    { kind: "ended" },
    { kind: "reset", by: "router", code: WireCode.revoked },
    { kind: "reset", by: "peer", code: WireCode.revoked },
    { kind: "reset", by: "self", code: WireCode.cancelled },
  ])("but not after %o", (end) => {
    expect(mayDialAgainAfter(end)).toBe(false);
  });

  test("nor after this side's own policy took the other end away", async () => {
    const authority = await createTestAuthority();
    const policy = await TestPolicy.create(authority, reachRules);
    const { identity, serial } = await authority.issue(workloadId(authority.trustDomain, "stranger", "1"));
    const decision = policy.decide().decideHost({ identity, serial, issuers: [] }, "files");
    expect(mayDialAgainAfter({ kind: "revoked", decision })).toBe(false);
  });
});

describe("a dial that failed", () => {
  test.each(["NO_HOST", "HOST_DOWN", "OVERLOADED", "DRAINING", "HEAD_STALE"])("for %s is made again", (code) => {
    expect(mayPass(refused(code, "d1"))).toBe(true);
  });

  test.each(["POLICY_DENIED", "IDENTITY_DENIED", "SERVICE_UNKNOWN", "PROTOCOL"])("for %s is not", (code) => {
    expect(mayPass(refused(code, "d1"))).toBe(false);
  });

  test("since the host refused is made again when nobody decided that", () => {
    expect(mayPass(refused("HOST_REFUSED", ""))).toBe(true);
    expect(mayPass(refused("HOST_REFUSED", "d1"))).toBe(false);
  });

  test.each<[ConnectorErrorCode, boolean]>([
    ["ROUTER_UNREACHABLE", true],
    ["HANDSHAKE_FAILED", true],
    ["IDENTITY_REVOKED", false],
    ["PEER_MISMATCH", false],
    ["PEER_NOT_ALLOWED", false],
    ["BINDING_MISMATCH", false],
    ["PROXY_AUTH_REQUIRED", false],
    ["CLOSED", false],
  ])("with %s is made again: %s", (code, again) => {
    expect(mayPass(new ConnectorError({ code, message: "" }))).toBe(again);
  });
});

function refused(code: string, decisionId: string): ConnectorError {
  return new ConnectorError({ code: "DIAL_REFUSED", message: "", refusal: Refusal.create({ code, decisionId }) });
}
