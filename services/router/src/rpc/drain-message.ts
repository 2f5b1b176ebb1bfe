import type { Drain } from "@sallyport/proto/router";
import type { DrainPhase } from "../domain/drain.ts";

/** Undefined while the router takes new work. */
export function drainMessage(phase: DrainPhase): Drain | undefined {
  if (phase.kind === "serving") return undefined;
  const { deadlineUnixMs, sinceUnixMs, askedBy, reason } = phase.facts;
  return {
    deadlineUnixMs,
    drained: phase.kind === "drained",
    sinceUnixMs,
    askedBy: askedBy.identity.id.uri,
    reason,
  };
}
