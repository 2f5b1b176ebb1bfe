import type { Identity } from "@sallyport/identity";
import type { EventInput } from "./event.ts";

/** Someone whose leaf was proven: a peer of mutual TLS, or an SVID of one's own. */
interface Actor {
  readonly identity: Identity;
  readonly serial: string;
}

/** A decision of the policy engine, as the record keeps it. */
interface RecordedDecision {
  readonly decision: "allow" | "deny";
  readonly decisionId: string;
  readonly ruleIds: readonly string[];
  readonly sliceVersion: number;
  readonly reason: string;
  readonly decideUs: number;
}

/** Who acted, by the leaf that proved it. */
export function actorFacts({ identity, serial }: Actor): Pick<EventInput, "actorId" | "actorName" | "actorSerial"> {
  return { actorId: identity.id.uri, actorName: recordedName(identity), actorSerial: serial };
}

/** `Event.actor_name`: by which searches find an identity, whatever its instance. Routers are numbered like the instances of a service. */
export function recordedName(identity: Identity): string {
  switch (identity.kind) {
    case "bus":
      return identity.role;
    case "router":
      return "router";
    case "admin":
    case "service":
    case "workload":
      return identity.name;
  }
}

/** Who decided, and why. */
export function decisionFacts(decision: RecordedDecision): Partial<EventInput> {
  return {
    decision: decision.decision,
    decisionId: decision.decisionId,
    ruleIds: [...decision.ruleIds],
    sliceVersion: decision.sliceVersion,
    reason: decision.reason,
    decideUs: decision.decideUs,
  };
}
