import type { Agent } from "../agent.ts";
import { must } from "../first-light-error.ts";
import type { Finding } from "../step.ts";

export interface ToolsListed {
  readonly agent: Agent;
  readonly agentName: string;
  readonly service: string;
  /** What policy lets the agent call. */
  readonly callable: readonly string[];
  /** How many the server has, asked without anything between. */
  readonly offered: number;
}

/** The agent sees exactly the tools that it may call: not one more, not one less. */
export async function toolsListed({ agent, agentName, service, callable, offered }: ToolsListed): Promise<Finding> {
  const listed = (await agent.tools()).toSorted();
  const wanted = callable.toSorted();
  must(
    listed.join() === wanted.join(),
    `the agent sees ${listed.join(", ") || "nothing"}, and may call ${wanted.join(", ")}`,
  );
  must(listed.length < offered, `the server has only ${offered} tools: nothing was hidden`);
  return {
    facts: { tools: listed, hidden: offered - listed.length },
    lines: [`${agentName} sees ${listed.length} of ${offered} tools: ${listed.join(", ")}`],
    rows: [
      {
        what: "the listing of the tools",
        fields: { kind: "tools.listed", actorName: agentName, service, vantage: "host" },
      },
    ],
  };
}
