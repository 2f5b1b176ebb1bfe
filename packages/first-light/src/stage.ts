/**
 * Everything that the story needs to be up: the constellation, its policy, two dark servers, a second agent.
 *
 * 1. Identities are enrolled anew at each start: a certificate lives an hour, and last week's cannot renew itself.
 * 2. Everything is taken down in the reverse order, whatever went wrong.
 */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Network, startNetwork } from "@sallyport/constellation";
import { ListHostsRequest } from "@sallyport/proto/router";
import { cast, services } from "./cast.ts";
import { enroll } from "./enroll.ts";
import { FirstLightError, must } from "./first-light-error.ts";
import { everythingServer, filesServer } from "./hosted-servers.ts";
import type { AgentServer } from "./agent.ts";
import { Sallyport, type StandingProcess } from "./sallyport.ts";

export interface StageOptions {
  readonly stateDir: string;
  readonly keyDir: string;
  readonly launcher: string;
  /** Life of every certificate. Default: an hour. */
  readonly svidTtlSeconds?: number;
  /** Environment of every `sallyport` command of the story. */
  readonly env: Readonly<Record<string, string>>;
  readonly policyFolder: string;
  /** What `files` serves. */
  readonly sharedFolder: string;
  /** Default: the reference server "everything". */
  readonly everything?: AgentServer;
  /** What is done, and how long after the beginning. */
  readonly onProgress?: (what: string, ms: number) => void;
  readonly signal?: AbortSignal;
}

export interface Stage extends AsyncDisposable {
  readonly network: Network;
  readonly sallyport: Sallyport;
  readonly hosts: { readonly everything: StandingProcess; readonly files: StandingProcess };
}

const announceTimeoutMs = 20_000;

export async function openStage(options: StageOptions): Promise<Stage> {
  const { onProgress = () => undefined } = options;
  const startedAt = performance.now();
  const lap = (what: string): void => onProgress(what, performance.now() - startedAt);
  await using opening = new AsyncDisposableStack();
  const network = opening.use(
    await startNetwork({
      stateDir: options.stateDir,
      keyDir: options.keyDir,
      env: options.env,
      onProgress: ({ step }) => lap(step),
      ...(options.svidTtlSeconds === undefined ? {} : { svidTtlSeconds: options.svidTtlSeconds }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    }),
  );
  const sallyport = new Sallyport({
    launcher: options.launcher,
    // The compile cache halves what each short-lived command spends on loading itself.
    env: {
      ...options.env,
      SALLYPORT_STATE: options.stateDir,
      NODE_COMPILE_CACHE: join(options.stateDir, "cache"),
    },
  });

  const putPolicyInForce = async (): Promise<void> => {
    await sallyport.succeed(["policy", "apply", options.policyFolder]);
    await reinstate(network, cast.demoAgent);
    lap("policy in force");
  };
  const enrollAnew = async (name: string): Promise<void> => {
    const { status, stderr } = await enroll(sallyport, name, await createToken(network, name));
    must(status === 0, `${name} could not enroll: ${stderr.trim()}`);
    lap(`${name} enrolled`);
  };
  const actors = [cast.everythingHost, cast.filesHost, cast.stranger];
  await Promise.all([putPolicyInForce(), ...actors.map(enrollAnew)]); // 1
  const host = (service: string, profile: string, server: AgentServer, ...flags: readonly string[]): StandingProcess =>
    opening.use(
      sallyport.start(["host", service, "--profile", profile, "--mcp", ...flags, "--", server.command, ...server.args]),
    );
  const hosts = {
    everything: host(
      services.everything,
      cast.everythingHost,
      options.everything ?? everythingServer(),
      "--network",
      "none",
    ),
    files: host(services.files, cast.filesHost, filesServer(options.sharedFolder)),
  };
  await Promise.race([announced(network, Object.values(services)), hosts.everything.failure, hosts.files.failure]);
  lap("servers in the dark");
  const open = opening.move();
  return { network, sallyport, hosts, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

export async function createToken(network: Network, workload: string): Promise<string> {
  const { token } = await network.admin.enrollment.createToken({ workload, ttlSeconds: 0, keyThumbprint: "" });
  return token;
}

/** Undoes the revocation that the story of an earlier start ended with. */
export async function reinstate(network: Network, name: string): Promise<void> {
  await network.admin.policy.reinstate({ subject: { kind: { $case: "name", value: name } } });
}

async function announced(network: Network, names: readonly string[]): Promise<void> {
  const deadline = performance.now() + announceTimeoutMs;
  while (performance.now() < deadline) {
    const { hosts } = await network.admin.router.listHosts(ListHostsRequest.create());
    if (names.every((name) => hosts.some(({ service }) => service === name))) return;
    await pause(25);
  }
  throw new FirstLightError("TIMED_OUT", `${names.join(" and ")} were not announced within ${announceTimeoutMs} ms`);
}

/** After the story: the agent that was cut off is taken back, with a new identity. */
export async function welcomeBack({ network, sallyport }: Stage): Promise<void> {
  await reinstate(network, cast.demoAgent);
  const { status, stderr } = await enroll(sallyport, cast.demoAgent, await createToken(network, cast.demoAgent));
  must(status === 0, `${cast.demoAgent} could not enroll again: ${stderr.trim()}`);
}
