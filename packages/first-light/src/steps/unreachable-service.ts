import { Agent, AgentRefused, throughSallyport } from "../agent.ts";
import { must } from "../first-light-error.ts";
import type { Sallyport } from "../sallyport.ts";
import type { Finding } from "../step.ts";

export interface UnreachableService {
  readonly sallyport: Sallyport;
  /** Profile and workload name of an enrolled agent that policy gives nothing. */
  readonly agentName: string;
  readonly service: string;
}

/** For an agent without a permit the service is not there: no circuit, no first byte, and no word whether it exists. */
export async function unreachableService({ sallyport, agentName, service }: UnreachableService): Promise<Finding> {
  const refusal = await Agent.connect(throughSallyport(sallyport, agentName, service)).then(
    async (agent) => {
      await agent[Symbol.asyncDispose]();
      return new Error(`${agentName} reached ${service}`);
    },
    (refused: unknown) => refused,
  );
  must(refusal instanceof AgentRefused, `${agentName} was not refused: ${String(refusal)}`);
  const reason = refusal.message;
  must(reason.includes("POLICY_DENIED"), `${agentName} failed for another reason than policy: ${reason}`);
  return {
    facts: { agent: agentName, service, reason },
    lines: [`${agentName} dials ${service}`, `✗ ${reason.split("\n")[0] ?? ""}`],
    rows: [
      {
        what: `the refused dial of ${agentName}`,
        fields: {
          kind: "circuit.refused",
          actorName: agentName,
          service,
          vantage: "router",
          decision: "deny",
          errorCode: "POLICY_DENIED",
        },
      },
    ],
  };
}
