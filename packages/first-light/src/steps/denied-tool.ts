import { ProtocolError } from "@modelcontextprotocol/client";
import type { Agent } from "../agent.ts";
import { readDecision, refusedCall } from "../decision.ts";
import { must } from "../first-light-error.ts";
import type { Finding } from "../step.ts";

export interface DeniedTool {
  readonly agent: Agent;
  readonly agentName: string;
  readonly service: string;
  readonly tool: string;
  /** The rule that forbids it. */
  readonly rule: string;
}

/** JSON-RPC "invalid params", which MCP prescribes for a tool that does not exist for the caller. */
const unknownTool = -32_602;

/** A forbidden tool is refused before the server sees the call, with the rule and the decision's id. */
export async function deniedTool(call: DeniedTool): Promise<Finding> {
  const { agent, service, tool, rule } = call;
  const error = await agent.call(tool, {}).then(
    ({ text }) => new Error(`${tool} answered: ${text.slice(0, 120)}`),
    (refused: unknown) => refused,
  );
  must(error instanceof ProtocolError && error.code === unknownTool, `${tool} was not refused: ${String(error)}`);
  const decision = readDecision(error.data, rule);
  const { decisionId, ruleIds } = decision;
  return {
    facts: { service, tool, rule_ids: ruleIds, decision_id: decisionId },
    lines: [`${service}/${tool}()`, `✗ ${error.message}`, `rule ${ruleIds.join(", ")} · decision ${decisionId}`],
    rows: [{ what: `the refused ${tool}`, fields: refusedCall(call, decision) }],
  };
}
