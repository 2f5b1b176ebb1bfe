import { identityOf, workloadId } from "@sallyport/identity";
import { WireCode, u32At } from "@sallyport/frame";
import type { Decision, PolicyState, Principal } from "@sallyport/policy-engine";
import type { EventInput } from "@sallyport/audit-log";
import { expect, test } from "vitest";
import { ChangeFeed } from "./change-feed.ts";
import { Circuit, type CircuitEnd, type CircuitPort } from "./circuit.ts";
import { Circuits } from "./circuits.ts";
import { Counters } from "./counters.ts";
import type { Party } from "./party.ts";

function party(name: string): Party {
  const identity = identityOf(workloadId("sallyport.local", name, "1"));
  return { identity, serial: `serial of ${name}`, issuers: ["ca"], tlsGroup: null, routerId: null };
}

function decision(change: Partial<Decision>): Decision {
  return {
    decision: "allow",
    decisionId: "d",
    ruleIds: [],
    sliceVersion: 1,
    code: "",
    reason: "",
    decideUs: 1,
    ...change,
  };
}

const denied = decision({ decision: "deny", code: "POLICY_DENIED" });

/** Where frames go that nobody reads; RESETs are kept. */
class Port implements CircuitPort {
  readonly portId: string;
  readonly resets: number[] = [];
  readonly outlet: CircuitPort["outlet"] = {
    forward: (frame) => void this.resets.push(u32At(frame, 8)),
    writeFrame: () => undefined,
    dropStream: () => undefined,
    flush: () => undefined,
  };

  constructor(portId: string) {
    this.portId = portId;
  }

  release(): void {}
}

const nobody: Pick<PolicyState, "denied" | "decideDial" | "decideHost"> = {
  denied: ({ identity }: Principal) => {
    throw new Error(`${identity.id.uri} was looked at`);
  },
  decideDial: () => denied,
  decideHost: () => denied,
};

interface Running {
  readonly circuits: Circuits;
  readonly events: readonly EventInput[];
  readonly run: (
    circuitId: string,
    service: string,
    dialer: Party,
    host: Party,
  ) => { readonly dialer: Port; readonly host: Port };
}

function running(policy: Partial<typeof nobody>): Running {
  const events: EventInput[] = [];
  const circuits = new Circuits({
    // What Circuits asks of it.
    policy: { ...nobody, ...policy } as PolicyState,
    record: (event) => events.push(event),
    counters: new Counters(),
    changes: new ChangeFeed(),
    onEnd: () => undefined,
  });
  return {
    circuits,
    events,
    run: (circuitId, service, dialer, host) => {
      const ports = { dialer: new Port(`${circuitId} dialer`), host: new Port(`${circuitId} host`) };
      const onEnd = (circuit: Circuit, end: CircuitEnd): void => circuits.ended(circuit, end);
      const side = (who: Party, port: Port): { party: Party; port: Port; streamId: number } => ({
        party: who,
        port,
        streamId: 1,
      });
      const init = { circuitId, service, decision: decision({}), onEnd };
      circuits.opened(new Circuit({ ...init, dialer: side(dialer, ports.dialer), host: side(host, ports.host) }), 1);
      return ports;
    },
  };
}

test("a revocation cuts the circuits that its subject dialed or hosts, and looks at no other", () => {
  const revoked = party("agent");
  const { circuits, events, run } = running({
    denied: (principal) => {
      const { uri } = principal.identity.id;
      if (uri !== revoked.identity.id.uri && uri !== party("shelf").identity.id.uri) return nobody.denied(principal);
      return uri === revoked.identity.id.uri ? { subject: undefined, reason: "stolen", sinceUnixMs: 0 } : null;
    },
  });
  const dialed = run("dialed", "files", revoked, party("shelf"));
  const hosted = run("hosted", "vault", party("shelf"), revoked);
  for (let i = 0; i < 1_000; i += 1) run(`other ${i}`, "files", party(`other-${i}`), party("host"));
  circuits.cutDenied([{ kind: "name", value: "agent" }]);
  expect(circuits.size).toBe(1_000);
  for (const port of [dialed.dialer, dialed.host, hosted.dialer, hosted.host])
    expect(port.resets).toEqual([WireCode.revoked]);
  const ends = events.filter(({ kind }) => kind === "circuit.closed");
  expect(ends).toMatchObject([
    { circuitId: "dialed", outcome: "revoked", errorCode: "IDENTITY_DENIED", reason: "On the deny-list: stolen" },
    { circuitId: "hosted", outcome: "revoked" },
  ]);
});

test("a change of a service's policy is asked about its own circuits, once for each certificate", () => {
  const asked: string[] = [];
  const { circuits, run } = running({
    decideDial: ({ serial }, service) => {
      asked.push(`${serial} on ${service}`);
      return serial === "serial of agent" ? denied : decision({});
    },
    decideHost: () => decision({}),
  });
  for (let i = 0; i < 10; i += 1) {
    run(`cut ${i}`, "files", party("agent"), party("shelf"));
    run(`kept ${i}`, "files", party("other"), party("shelf"));
    run(`elsewhere ${i}`, "vault", party("agent"), party("shelf"));
  }
  circuits.judge(["files", "nothing"]);
  expect(asked).toEqual(["serial of agent on files", "serial of other on files"]);
  expect([...circuits.values()].filter(({ circuitId }) => circuitId.startsWith("cut"))).toEqual([]);
  expect(circuits.size).toBe(20);
});

test("a head that is too old cuts nothing", () => {
  const stale = decision({ decision: "deny", code: "HEAD_STALE" });
  const { circuits, run } = running({ decideDial: () => stale, decideHost: () => stale });
  run("kept", "files", party("agent"), party("shelf"));
  circuits.judge(["files"]);
  expect(circuits.size).toBe(1);
});

test("what ended is found by nothing any more", () => {
  const { circuits, run } = running({});
  run("one", "files", party("agent"), party("shelf"));
  circuits.get("one")?.end({ kind: "ended" });
  for (const name of ["agent", "shelf"]) expect(circuits.of({ kind: "name", value: name })).toEqual([]);
  circuits.cutDenied([{ kind: "issuer", value: "ca" }]);
  circuits.judge(["files"]);
});
