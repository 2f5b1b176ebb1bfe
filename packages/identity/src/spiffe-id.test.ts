import { describe, expect, test } from "vitest";
import { adminId, busId, identityOf, parseSpiffeId, routerId, serviceId, workloadId } from "./index.ts";

const every = Array.from({ length: 0x1_00 }, (_, code) => code);
const beyond = [0x100, 0x130, 0x212a, 0x2024, 0xff0f, 0xff41, 0xfffd, 0x1_f600];

function accepts(uri: string): boolean {
  try {
    return parseSpiffeId(uri).uri === uri;
  } catch (error) {
    expect(error).toMatchObject({ code: "SPIFFE_ID_INVALID" });
    return false;
  }
}

describe("a SPIFFE ID", () => {
  test("has a trust domain of a-z, 0-9, dot, dash and underscore, and of no other code point", () => {
    for (const code of [...every, ...beyond]) {
      const character = String.fromCodePoint(code);
      // A slash ends the trust domain: what follows is a path.
      expect(accepts(`spiffe://a${character}b/x`), `code point ${code}`).toBe(
        /^[a-z0-9._-]$/.test(character) || character === "/",
      );
    }
  });

  test("has path segments of a-z, A-Z, 0-9, dot, dash and underscore, and of no other code point", () => {
    for (const code of [...every, ...beyond]) {
      const character = String.fromCodePoint(code);
      expect(accepts(`spiffe://a.org/x${character}y`), `code point ${code}`).toBe(/^[a-zA-Z0-9._/-]$/.test(character));
    }
  });

  test.each([
    ["", "nothing"],
    ["spiffe://", "no trust domain"],
    ["spiffe:///x", "an empty trust domain"],
    ["Spiffe://a.org/x", "a scheme in another case"],
    ["SPIFFE://a.org/x", "a scheme in capitals"],
    ["spiffe:/a.org/x", "one slash"],
    ["https://a.org/x", "another scheme"],
    [" spiffe://a.org/x", "a leading space"],
    ["spiffe://A.org/x", "a trust domain in capitals"],
    ["spiffe://user@a.org/x", "userinfo"],
    ["spiffe://a.org:443/x", "a port"],
    ["spiffe://a.org/", "a trailing slash after the trust domain"],
    ["spiffe://a.org/x/", "a trailing slash"],
    ["spiffe://a.org//x", "an empty segment"],
    ["spiffe://a.org/./x", "a dot"],
    ["spiffe://a.org/x/..", "two dots"],
    ["spiffe://a.org/x?y", "a query"],
    ["spiffe://a.org/x#y", "a fragment"],
    ["spiffe://a.org/%78", "percent-encoding"],
    ["spiffe://a.org/x\0", "a zero byte"],
    [`spiffe://${"a".repeat(256)}/x`, "a trust domain of 256 bytes"],
    [`spiffe://a.org/${"x".repeat(2048)}`, "more than 2,048 bytes"],
  ])("%j is refused: %s", (uri) => {
    expect(() => parseSpiffeId(uri)).toThrow(expect.objectContaining({ code: "SPIFFE_ID_INVALID" }));
  });

  test("keeps its spelling and is cut at the slashes only", () => {
    expect(parseSpiffeId("spiffe://a-b_c.d/X/y..z/-")).toEqual({
      uri: "spiffe://a-b_c.d/X/y..z/-",
      trustDomain: "a-b_c.d",
      segments: ["X", "y..z", "-"],
    });
    expect(parseSpiffeId(`spiffe://${"a".repeat(255)}`).segments).toEqual([]);
    expect(parseSpiffeId(`spiffe://a.org/${"x".repeat(2048 - 15)}`).uri).toHaveLength(2048);
  });
});

describe("an identity", () => {
  test.each([
    [workloadId("a.org", "agent", "one"), { kind: "workload", name: "agent", instance: "one" }],
    [routerId("a.org", "r1"), { kind: "router", name: "r1" }],
    [serviceId("a.org", "ca", "1"), { kind: "service", name: "ca", instance: "1" }],
    [adminId("a.org", "local"), { kind: "admin", name: "local" }],
    [busId("a.org", "ca"), { kind: "bus", role: "ca" }],
  ])("$uri is read as it was made", (id, facts) => {
    expect(identityOf(id)).toEqual({ ...facts, id });
  });

  test.each([
    "",
    "/workload",
    "/workload/a",
    "/workload/a/b/c",
    "/workload/A/b",
    "/workload/a/b.c",
    "/workload/-a/b",
    "/router/a/b",
    "/admin",
    "/bus/a/b",
    "/other/a",
    "/Workload/a/b",
  ])("spiffe://a.org%s is none of ours", (path) => {
    expect(() => identityOf(parseSpiffeId(`spiffe://a.org${path}`))).toThrow(
      expect.objectContaining({ code: "IDENTITY_KIND_UNKNOWN" }),
    );
  });

  test.each(["", "A", "a b", "a/b", "a.b", "-a", "a-", "ä", "a".repeat(64), "..", "%61"])("%j names nobody", (name) => {
    expect(() => workloadId("a.org", name, "one")).toThrow(expect.objectContaining({ code: "NAME_INVALID" }));
    expect(() => workloadId("a.org", "agent", name)).toThrow(expect.objectContaining({ code: "NAME_INVALID" }));
    expect(() => routerId("a.org", name)).toThrow(expect.objectContaining({ code: "NAME_INVALID" }));
  });
});
