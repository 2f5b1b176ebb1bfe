import { join } from "node:path";
import { Agent, throughSallyport } from "./agent.ts";
import { callableTools, cast, rules, services } from "./cast.ts";
import { everythingServer } from "./hosted-servers.ts";
import { createToken, type Stage } from "./stage.ts";
import type { ExpectedRow, Finding, StepName, StepReport } from "./step.ts";
import { allowedCall } from "./steps/allowed-call.ts";
import { audited } from "./steps/audited.ts";
import { dark } from "./steps/dark.ts";
import { deniedArgument } from "./steps/denied-argument.ts";
import { deniedTool } from "./steps/denied-tool.ts";
import { enrolled } from "./steps/enrolled.ts";
import { revoked } from "./steps/revoked.ts";
import { toolsListed } from "./steps/tools-listed.ts";
import { unreachableService } from "./steps/unreachable-service.ts";

export interface StoryOptions {
  readonly stage: Stage;
  /** Where profiles live: `<configHome>/sallyport/profiles`. */
  readonly profilesFolder: string;
}

/** The nine steps in their order, each told as it ends. A step that fails does not keep the later ones from being tried. */
export async function* tellStory({ stage, ...options }: StoryOptions): AsyncGenerator<StepReport> {
  const { sallyport, network, hosts } = stage;
  const sinceUnixMs = Date.now();
  const rows: ExpectedRow[] = [];
  await using agents = new AgentsOnDemand(stage);
  const offered = toolsWithoutSallyport();
  offered.catch(() => undefined); // The step that needs it says so.
  const everything = { agentName: cast.demoAgent, service: services.everything };
  const files = { agentName: cast.demoAgent, service: services.files };

  const steps: Readonly<Record<StepName, () => Promise<Finding>>> = {
    enrolled: () =>
      enrolled({
        sallyport,
        agentName: cast.demoAgent,
        trustDomain: network.trustDomain,
        certificatePath: join(options.profilesFolder, cast.demoAgent, "svid.pem"),
        createToken: (workload) => createToken(network, workload),
      }),
    "tools-listed": async () =>
      toolsListed({
        ...everything,
        agent: await agents.on(services.everything),
        callable: callableTools,
        offered: await offered,
      }),
    "allowed-call": async () =>
      allowedCall({
        ...everything,
        agent: await agents.on(services.everything),
        tool: "get-sum",
        arguments: { a: 19, b: 23 },
        answers: "42",
      }),
    "denied-tool": async () =>
      deniedTool({
        ...everything,
        agent: await agents.on(services.everything),
        tool: "get-env",
        rule: rules.noEnvironment,
      }),
    "denied-argument": async () => {
      const agent = await agents.on(services.files);
      const tool = "read_text_file";
      const open = { path: "handbook/welcome.md" };
      const closed = { path: "payroll/salaries.csv" };
      const allowed = await allowedCall({
        ...files,
        agent,
        tool,
        arguments: open,
        answers: "The gate opens only outwards",
      });
      const denied = await deniedArgument({ ...files, agent, tool, arguments: closed, rule: rules.handbookOnly });
      return { ...denied, lines: [...allowed.lines, ...denied.lines], rows: [...allowed.rows, ...denied.rows] };
    },
    "unreachable-service": () =>
      unreachableService({ sallyport, agentName: cast.stranger, service: services.everything }),
    dark: async () => {
      // A hosted server runs while somebody is connected to it.
      await Promise.all([agents.on(services.everything), agents.on(services.files)]);
      return await dark([
        { service: services.everything, pid: hosts.everything.pid },
        { service: services.files, pid: hosts.files.pid },
      ]);
    },
    revoked: async () =>
      revoked({ ...everything, sallyport, agent: await agents.on(services.everything), subject: cast.demoAgent }),
    audited: () => audited({ search: (request) => network.admin.audit.search(request), rows, sinceUnixMs }),
  };
  for (const [step, play] of Object.entries(steps) as [StepName, () => Promise<Finding>][]) {
    const report = await reportOf(step, play);
    if (report.kind === "held") rows.push(...report.finding.rows);
    yield report;
  }
}

async function reportOf(step: StepName, play: () => Promise<Finding>): Promise<StepReport> {
  const startedAt = performance.now();
  const ms = (): number => Number((performance.now() - startedAt).toFixed(1));
  try {
    const finding = await play();
    return { kind: "held", step, ms: ms(), finding };
  } catch (error) {
    return { kind: "failed", step, ms: ms(), error: error instanceof Error ? error : new Error(String(error)) };
  }
}

async function toolsWithoutSallyport(): Promise<number> {
  await using agent = await Agent.connect(everythingServer());
  return (await agent.tools()).length;
}

/** One connection of the demo agent per service, made when a step first asks for it. */
class AgentsOnDemand implements AsyncDisposable {
  readonly #stage: Stage;
  readonly #connections = new Map<string, Promise<Agent>>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  on(service: string): Promise<Agent> {
    const known = this.#connections.get(service);
    if (known !== undefined) return known;
    const connection = Agent.connect(throughSallyport(this.#stage.sallyport, cast.demoAgent, service));
    this.#connections.set(service, connection);
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections.values()) {
      await connection.then(
        (agent) => agent[Symbol.asyncDispose](),
        () => undefined,
      );
    }
  }
}
