import type { Agent } from "../agent.ts";
import { readDecision, refusedCall } from "../decision.ts";
import { must } from "../first-light-error.ts";
import type { Finding } from "../step.ts";

export interface DeniedArgument {
  readonly agent: Agent;
  readonly agentName: string;
  readonly service: string;
  /** A tool that the agent sees and may call otherwise. */
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** The rule that forbids these arguments. */
  readonly rule: string;
}

/** An allowed tool with a forbidden argument is refused with a reason that the model can read, the rule and the decision's id. */
export async function deniedArgument(call: DeniedArgument): Promise<Finding> {
  const { agent, service, tool, rule } = call;
  const answer = await agent.call(tool, { ...call.arguments });
  must(answer.isError, `${tool} was not refused, it answered: ${answer.text.slice(0, 120)}`);
  const decision = readDecision(answer.meta["sallyport.dev/decision"], rule);
  const { decisionId, ruleIds } = decision;
  must(answer.text.includes(decisionId), `the text that the model reads does not name the decision: ${answer.text}`);
  return {
    facts: { service, tool, rule_ids: ruleIds, decision_id: decisionId },
    lines: [`${service}/${tool}(${JSON.stringify(call.arguments)})`, `✗ ${answer.text}`],
    rows: [
      {
        what: `the refused argument of ${tool}`,
        fields: {
          ...refusedCall(call, decision),
          argumentsContain: JSON.stringify(Object.values(call.arguments)[0]),
        },
      },
    ],
  };
}
