import {
  checkoutDir,
  startNetwork,
  type Network,
  type ProcessEvent,
  type StartOptions,
} from "@sallyport/constellation";
import { existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import type { Context } from "./context.ts";
import { quote } from "./shell.ts";
import { defaultStateFolder, keyFolder } from "./state-folder.ts";

export interface RunUpOptions {
  readonly state?: string;
  readonly routers?: number;
  readonly listen?: readonly string[];
  readonly publicAddress?: readonly string[];
  readonly trustDomain?: string;
  readonly json?: boolean;
  readonly logLevel?: string;
}

/** Starts the network, says what happens, and holds it until the signal. */
export async function runUp(options: RunUpOptions, context: Context): Promise<void> {
  const { env, signal } = context;
  const stateDir = resolve(options.state ?? env["SALLYPORT_STATE"] ?? defaultStateFolder());
  const report = options.json === true ? jsonReport(context) : textReport(context);
  const start: StartOptions = {
    stateDir,
    keyDir: keyFolder(context),
    env,
    signal,
    onProgress: ({ step, ms }) => report.step(step, ms),
    onProcessEvent: (event) => report.process(event),
    ...(options.trustDomain === undefined ? {} : { trustDomain: options.trustDomain }),
    ...(options.routers === undefined ? {} : { routers: options.routers }),
    ...(options.listen === undefined ? {} : { routerListen: options.listen }),
    ...(options.publicAddress === undefined ? {} : { publicAddress: options.publicAddress }),
    ...(options.logLevel === undefined ? {} : { logLevel: options.logLevel }),
  };
  await using network = await startNetwork(start);
  report.ready(network, stateDir);
  await new Promise<void>((done) => {
    if (signal.aborted) done();
    signal.addEventListener("abort", () => done(), { once: true });
  });
  report.stopping();
}

interface Report {
  step(step: string, ms: number): void;
  process(event: ProcessEvent): void;
  ready(network: Network, stateDir: string): void;
  stopping(): void;
}

function jsonReport({ terminal }: Context): Report {
  return {
    step: (step, ms) => terminal.printJson({ kind: "progress", step, ms: Math.round(ms) }),
    process: (event) => event.kind === "ended" && terminal.printJson({ ...event, kind: "process-ended" }),
    ready: ({ routerAddress, routerAddresses, trustDomain, pids }, stateDir) =>
      terminal.printJson({ kind: "up", routerAddress, routerAddresses, trustDomain, stateDir, pids }),
    stopping: () => terminal.printJson({ kind: "stopping" }),
  };
}

const STEP_WORDS: Readonly<Record<string, string>> = {
  state: "state folder",
  ca: "ca: issues identities",
  nats: "bus: NATS JetStream",
  enrollment: "enrollment: tokens in, identities out",
  policy: "policy: signed slices and deny-list",
  router: "router: the one public port",
  audit: "audit: the record, in ClickHouse",
};

/** What to type next, in another terminal. */
function nextCommands(env: Context["env"]): readonly (readonly [string, string])[] {
  const inPath = (env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, "sallyport")));
  const own = join(checkoutDir, "node_modules/.bin");
  return [
    ...(inPath || !existsSync(own) ? [] : [["know the command", `export PATH=${quote(own)}:"$PATH"`] as const]),
    ["say who may reach what", `sallyport policy apply ${quote(join(checkoutDir, "packages/first-light/policy"))}`],
    ["let a workload in", "sallyport token create demo-agent | sallyport enroll --profile demo-agent"],
    ["see what is up", "sallyport status"],
  ];
}

function textReport({ terminal, env }: Context): Report {
  const { dim, green, yellow, bold } = terminal.noteColors;
  return {
    step: (step, ms) => {
      const words = STEP_WORDS[step] ?? (step.startsWith("router-") ? `${step}: another router` : undefined);
      if (words !== undefined) terminal.note(`  ${green("✓")} ${words} ${dim(`${(ms / 1_000).toFixed(1)} s`)}`);
    },
    process: (event) => {
      if (event.kind === "ended")
        terminal.note(`  ${yellow("!")} ${event.name} ${event.how}; started again in ${event.restartInMs} ms`);
    },
    ready: ({ routerAddresses, trustDomain }, stateDir) => {
      terminal.note(
        `\n${bold("Up.")} Router ${bold(routerAddresses.join(", "))}, trust domain ${trustDomain}, state in ${stateDir}\n`,
      );
      for (const [what, command] of nextCommands(env)) terminal.note(`  ${dim(what.padEnd(22))}  ${command}`);
      terminal.note(`\n${dim("Ctrl-C ends everything.")}`);
    },
    stopping: () => terminal.note("\nStopping…"),
  };
}
