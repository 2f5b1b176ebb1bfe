import type { Agent } from "../agent.ts";
import { must } from "../first-light-error.ts";
import type { Finding } from "../step.ts";

export interface AllowedCall {
  readonly agent: Agent;
  readonly agentName: string;
  readonly service: string;
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** What the server's own answer must contain. */
  readonly answers: string;
}

/** An allowed call comes back with the server's own answer. */
export async function allowedCall(call: AllowedCall): Promise<Finding> {
  const { agent, agentName, service, tool } = call;
  const startedAt = performance.now();
  const answer = await agent.call(tool, { ...call.arguments });
  const callMs = Number((performance.now() - startedAt).toFixed(2));
  must(!answer.isError, `${tool} was answered with an error: ${answer.text}`);
  must(answer.text.includes(call.answers), `${tool} answered "${answer.text}", without "${call.answers}"`);
  const [argument] = Object.entries(call.arguments);
  return {
    facts: { service, tool, result: answer.text, call_ms: callMs },
    lines: [`${service}/${tool}(${JSON.stringify(call.arguments)})`, `→ ${answer.text.trim().split("\n").join(" ")}`],
    rows: [
      {
        what: `the allowed ${tool}`,
        fields: {
          kind: "call.finished",
          actorName: agentName,
          service,
          tool,
          vantage: "host",
          decision: "allow",
          outcome: "ok",
        },
      },
      {
        what: `the arguments of ${tool}`,
        fields: {
          kind: "call.started",
          actorName: agentName,
          service,
          tool,
          vantage: "host",
          argumentsContain: argument === undefined ? "{}" : JSON.stringify(argument[1]),
        },
      },
      {
        what: `the circuit to ${service}`,
        fields: { kind: "circuit.opened", actorName: agentName, service, vantage: "router", decision: "allow" },
      },
    ],
  };
}
