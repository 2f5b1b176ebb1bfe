import { routerId, identityOf, workloadId, type SpiffeId } from "@sallyport/identity";
import type { DeniedSubject, Principal } from "@sallyport/policy-engine";
import { expect, test } from "vitest";
import { IdentityIndex } from "./identity-index.ts";

function principal(id: SpiffeId, serial: string, issuers: readonly string[] = ["ca-1", "root"]): Principal {
  return { identity: identityOf(id), serial, issuers };
}

const agent = principal(workloadId("sallyport.local", "agent", "1"), "01");
const sibling = principal(workloadId("sallyport.local", "agent", "2"), "02");
const shelf = principal(workloadId("sallyport.local", "shelf", "1"), "03", ["ca-2", "root"]);

function index(): IdentityIndex<string> {
  const filled = new IdentityIndex<string>();
  filled.add(agent, "of agent/1");
  filled.add(sibling, "of agent/2");
  filled.add(shelf, "of shelf/1");
  return filled;
}

test.each<[DeniedSubject, readonly string[]]>([
  [{ kind: "name", value: "agent" }, ["of agent/1", "of agent/2"]],
  [{ kind: "instance", value: agent.identity.id.uri }, ["of agent/1"]],
  [{ kind: "serial", value: "03" }, ["of shelf/1"]],
  [{ kind: "issuer", value: "ca-1" }, ["of agent/1", "of agent/2"]],
  [{ kind: "issuer", value: "root" }, ["of agent/1", "of agent/2", "of shelf/1"]],
  [{ kind: "name", value: "nobody" }, []],
  [{ kind: "name", value: "01" }, []],
])("%o finds %o", (subject, found) => {
  expect(index().of(subject)).toEqual(found);
  expect(index().count(subject)).toBe(found.length);
});

test("what is gone is found by nothing, and what stands behind the same issuer stays", () => {
  const filled = index();
  filled.delete(agent, "of agent/1");
  expect(filled.of({ kind: "instance", value: agent.identity.id.uri })).toEqual([]);
  expect(filled.of({ kind: "issuer", value: "ca-1" })).toEqual(["of agent/2"]);
});

test("one thing may hang on two identities, and be taken out while it is looked at", () => {
  const filled = new IdentityIndex<string>();
  for (const party of [agent, shelf]) filled.add(party, "circuit");
  for (const found of filled.of({ kind: "issuer", value: "root" })) {
    for (const party of [agent, shelf]) filled.delete(party, found);
  }
  for (const subject of [agent, shelf].map(({ serial }) => ({ kind: "serial", value: serial }) as const)) {
    expect(filled.of(subject)).toEqual([]);
  }
});

test("an identity that is no workload has no name that the deny-list could mean", () => {
  const filled = new IdentityIndex<string>();
  filled.add(principal(routerId("sallyport.local", "agent"), "09"), "a router's");
  expect(filled.of({ kind: "name", value: "agent" })).toEqual([]);
});
