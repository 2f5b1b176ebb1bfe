import { workloadId, type RotatingSvid, type SvidSource } from "@sallyport/identity";
import { createMtlsServer, type MtlsServer } from "@sallyport/mtls";
import type { PolicyState } from "@sallyport/policy-engine";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { reachRules, TestPolicy } from "../test-policy.test-support.ts";
import { carrierPair, type CarrierPair } from "./carrier-pair.test-support.ts";
import type { Circuit, CircuitCarrier } from "./circuit.ts";
import { circuitAlpn, openDialerEnd, openHostEnd, type CircuitPlan } from "./open-circuit.ts";

/** Two workloads of one trust domain with their own view of policy, and a router between them that a test may let lie. */
export interface CircuitWorld {
  readonly authority: TestAuthority;
  readonly policy: TestPolicy;
  readonly agent: RotatingSvid;
  readonly host: RotatingSvid;
  /** Both ends over one pair of carriers. */
  connect(change?: EndsChange): Attempt;
  /** The host's end alone, for a dialer of the test's own. */
  accept(carrier: CircuitCarrier): Promise<Circuit>;
}

export interface EndsChange {
  readonly dialerIdentity?: SvidSource;
  readonly hostIdentity?: SvidSource;
  readonly dialer?: Partial<CircuitPlan>;
  readonly host?: Partial<CircuitPlan>;
}

export interface Attempt {
  readonly carriers: CarrierPair;
  readonly dialer: Promise<Circuit>;
  readonly host: Promise<Circuit>;
}

export async function circuitWorld(): Promise<CircuitWorld> {
  const authority = await createTestAuthority();
  const policy = await TestPolicy.create(authority, reachRules);
  const agent = await authority.source(workloadId(authority.trustDomain, "agent", "1"));
  const host = await authority.source(workloadId(authority.trustDomain, "host", "1"));
  const states: Record<"dialer" | "host", PolicyState> = { dialer: policy.state(), host: policy.state() };
  const common = {
    service: "files",
    nonce: Buffer.alloc(16, 7),
    sliceVersion: 1,
    circuitId: "c1",
    routerDecisionId: "d1",
  };
  const dialerPlan = (carrier: CircuitCarrier): CircuitPlan => {
    return { ...common, carrier, policy: states.dialer, claimedPeerId: host.current().identity.id.uri };
  };
  const hostPlan = (carrier: CircuitCarrier): CircuitPlan => {
    return { ...common, carrier, policy: states.host, claimedPeerId: agent.current().identity.id.uri };
  };
  const serverOf = (identity: SvidSource): MtlsServer =>
    createMtlsServer({ identity, alpn: [circuitAlpn], clientCertificate: "required" });
  return {
    authority,
    policy,
    agent,
    host,
    connect: (change = {}) => {
      const carriers = carrierPair();
      const dialer = openDialerEnd(
        { ...dialerPlan(carriers.dialer), ...change.dialer },
        change.dialerIdentity ?? agent,
      );
      const accepted = openHostEnd(
        { ...hostPlan(carriers.host), ...change.host },
        serverOf(change.hostIdentity ?? host),
      );
      for (const end of [dialer, accepted]) {
        end.then((circuit) => circuit.on("error", () => undefined)).catch(() => undefined);
      }
      return { carriers, dialer, host: accepted };
    },
    accept: async (carrier) => await openHostEnd(hostPlan(carrier), serverOf(host)),
  };
}

/** Everything that one end reads until its end, or the error. */
export async function readAll(circuit: Circuit): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of circuit as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
