/**
 * Hosts an MCP server that speaks stdio: one confined process per circuit, so that no caller meets another's conversation.
 *
 * 1. The process starts with its circuit and ends with it, whichever way the circuit ends.
 * 2. What the caller may do is decided by the circuit's proven identity and nothing that is said inside it.
 */
import { WireCode } from "@sallyport/frame";
import type { Circuit } from "../../circuit/circuit.ts";
import { chooseConfinement, findCommand } from "../../confine/choose-confinement.ts";
import { ConfinedProcess, type ConfinedProcessOptions } from "../../confine/confined-process.ts";
import type { Confinement, ProcessNetwork } from "../../confine/confinement.ts";
import { closedEnvironment } from "../../confine/environment.ts";
import type { Connector, HostOptions } from "../../connector/connector.ts";
import { circuitFacts } from "../../connector/events.ts";
import type { Hosting } from "../../connector/hosting.ts";
import { failure } from "../../connector/log.ts";
import { secretFolders } from "../../profile/profile-paths.ts";
import { CommandHealth } from "./command-health.ts";
import { converse } from "./converse.ts";

export interface HostMcpOptions extends Omit<HostOptions, "health"> {
  readonly connector: Connector;
  readonly service: string;
  /** An absolute path, a path relative to `workingFolder`, or a name to look for in the closed PATH. */
  readonly command: string;
  readonly args?: readonly string[];
  /** Variables that the process sees beyond PATH, LANG, HOME and TMPDIR. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** `none`: in a network namespace of its own. Default `host`. */
  readonly network?: ProcessNetwork;
  /** Default: this process's. */
  readonly workingFolder?: string;
  /** Folders that the process may write to where everything else is read-only. Default: none. */
  readonly writable?: readonly string[];
  /** Folders beyond the connector's own that the process must not see. Default: none. */
  readonly hidden?: readonly string[];
  /** Runs the command like the connector itself, with the closed environment as the only wall. Default false. */
  readonly unconfined?: boolean;
  /** What the processes write to stderr. Default: the connector's log. */
  readonly onStderr?: (text: Buffer, circuit: Circuit) => void;
  /** Told of each process that was started. Default: nobody. */
  readonly onProcess?: (child: { readonly pid: number; readonly circuit: Circuit }) => void;
}

export interface McpHosting extends AsyncDisposable {
  readonly hosting: Hosting;
  /** How the processes are kept from the connector's key. */
  readonly confinement: Confinement;
}

/** Throws COMMAND_NOT_FOUND, CONFINEMENT_UNAVAILABLE, COST_INVALID, ALREADY_HOSTED before anything is announced. */
export async function hostMcp(options: HostMcpOptions): Promise<McpHosting> {
  const { connector, service } = options;
  const plan = await processPlan(options);
  const health = new CommandHealth(plan.command, plan.workingFolder);
  const running = new Set<Promise<void>>();
  const onCircuit = (circuit: Circuit): void => {
    const served = serve(circuit, options, plan, health).catch((error: unknown) => {
      health.failed(failure(error).reason);
      connector.log.warn({ service, circuit: circuit.circuitId, ...failure(error) }, "MCP server not started");
      circuit.reset(WireCode.gone);
    });
    running.add(served);
    void served.then(() => running.delete(served));
  };
  const hosting = connector.host(service, "mcp", onCircuit, { ...preference(options), health: () => health.ask() });
  return {
    hosting,
    confinement: plan.confinement,
    [Symbol.asyncDispose]: async () => {
      await hosting[Symbol.asyncDispose]();
      await Promise.all(running);
    },
  };
}

function preference({ maxCircuits, cost, precedence }: HostOptions): HostOptions {
  return {
    ...(maxCircuits === undefined ? {} : { maxCircuits }),
    ...(cost === undefined ? {} : { cost }),
    ...(precedence === undefined ? {} : { precedence }),
  };
}

type ProcessPlan = Omit<ConfinedProcessOptions, "onStderr">;

async function processPlan(options: HostMcpOptions): Promise<ProcessPlan> {
  const { connector, service, args = [], env = {}, network = "host", writable = [], hidden = [] } = options;
  const workingFolder = options.workingFolder ?? process.cwd();
  const path = closedEnvironment("", env)["PATH"] ?? "";
  const command = await findCommand(options.command, path, workingFolder);
  const secret = [...secretFolders(connector.profile.folders), ...hidden];
  const needs = { service, command, args, workingFolder, network, secret, writable };
  const confinement: Confinement = options.unconfined === true ? { kind: "none" } : await chooseConfinement(needs);
  connector.log.info({ service, command, confinement: confinement.kind, network }, "MCP server confined");
  return { ...needs, env, confinement };
}

/** Until the circuit and its process are gone. */
async function serve(
  circuit: Circuit,
  options: HostMcpOptions,
  plan: ProcessPlan,
  health: CommandHealth,
): Promise<void> {
  const { connector, service, onStderr } = options;
  const log = { service, circuit: circuit.circuitId };
  await using child = await ConfinedProcess.start({
    ...plan,
    onStderr: (text) =>
      onStderr === undefined
        ? connector.log.debug({ ...log, text: text.toString().trimEnd() }, "stderr")
        : onStderr(text, circuit),
  });
  // In one turn with `converse`, which reads what it listens to.
  health.watch(child, () => !circuit.destroyed && !circuit.readableEnded);
  if (child.pid !== undefined) options.onProcess?.({ pid: child.pid, circuit });
  const facts = circuitFacts(circuit, connector.svid, "mcp");
  const { policy } = connector;
  await converse(circuit, child, {
    decideCall: (tool, args) => policy.decideCall(circuit.peer, service, tool, args),
    visibleTools: (names) => policy.visibleTools(circuit.peer, service, names),
    record: (event) => connector.record({ ...facts, ...event }),
    onNoise: (fault) => connector.log.debug({ ...log, fault }, "the MCP server wrote a line that is no message"),
  });
}
