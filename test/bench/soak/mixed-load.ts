/** What runs side by side in a soak, each part in its own rhythm until the end. */
import { Agent, enroll, everythingServer, Sallyport, throughSallyport } from "@sallyport/first-light";
import type { Worker } from "@sallyport/testing";
import { join } from "node:path";
import { checkout } from "../../network/test-stage.ts";
import { service, tools, type WorkloadsNetwork } from "../workloads/open-network.ts";
import type { WorkloadsApi } from "../workloads/workloads-worker.ts";

export const dialers = ["agent-1", "agent-2", "agent-3", "agent-4"] as const;
export const hosts = ["host-1", "host-2"] as const;
export const caller = "caller";
export const toolsHost = "tools-host";

const rhythmMs = { circuits: 4_000, calls: 250, sessions: 45_000, bulk: 5_000, revocation: 50_000 } as const;
const bulkBytes = 16_777_216;

/** How often each part ran, and failed. A soak is about memory: failures in a moment of renewal or revocation are counted, not fatal. */
export type Tally = Record<keyof typeof rhythmMs, { done: number; failed: number; lastFailure: string }>;

export interface MixedLoad extends AsyncDisposable {
  /** Processes of workloads, by name. */
  readonly pids: Readonly<Record<string, number>>;
  readonly tally: Tally;
  /** Runs until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export async function openMixedLoad(bench: WorkloadsNetwork): Promise<MixedLoad> {
  await using opening = new AsyncDisposableStack();
  const [hosting, dialing] = [bench.worker(), bench.worker()];
  for (const name of hosts) {
    await bench.join(hosting, name);
    await hosting.call("host", { name, service, maxCircuits: 128 });
  }
  for (const name of dialers) await bench.join(dialing, name);

  const { home, network } = bench;
  const launcher = join(checkout, "packages/cli/bin/sallyport.js");
  const sallyport = new Sallyport({ launcher, env: { ...home.env, SALLYPORT_STATE: home.stateDir } });
  for (const workload of [caller, toolsHost]) {
    const { token } = await network.admin.enrollment.createToken({ workload, ttlSeconds: 0, keyThumbprint: "" });
    await enroll(sallyport, workload, token);
  }
  const { command, args } = everythingServer();
  const host = opening.use(
    sallyport.start(["host", tools, "--profile", toolsHost, "--mcp", "--network", "none", "--", command, ...args]),
  );
  const tally = emptyTally();
  const session = new Session(sallyport);
  opening.use(session);
  const parts: Parts = { bench, dialing, sallyport, session };
  const open = opening.move();
  return {
    pids: { "workloads hosting": hosting.pid, "workloads dialing": dialing.pid, "sallyport host": host.pid },
    tally,
    run: async (signal) => {
      const works = Object.entries(worksOf(parts));
      await Promise.all(works.map(([part, work]) => repeat(part, work, tally, signal)));
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

interface Parts {
  readonly bench: WorkloadsNetwork;
  readonly dialing: Worker<WorkloadsApi>;
  readonly sallyport: Sallyport;
  readonly session: Session;
}

/** The last dialer is the one that is revoked and comes back. */
function worksOf({ bench, dialing, sallyport, session }: Parts): Readonly<Record<keyof Tally, () => Promise<void>>> {
  const [first, second, third, revoked] = dialers;
  return {
    circuits: async () => {
      for (const name of [first, second]) {
        await dialing.call("hangUp", { dialer: name });
        for (const flow of ["down", "up", "slow"] as const)
          await dialing.call("dial", { name, service, flow, count: 4 });
      }
    },
    calls: () => session.call(),
    sessions: async () => {
      await using agent = await Agent.connect(throughSallyport(sallyport, caller, tools));
      await agent.call("get-sum", { a: 1, b: 2 });
    },
    bulk: async () => {
      await dialing.call("bulk", { name: third, service, bytes: bulkBytes });
    },
    revocation: async () => {
      const subject = { kind: { $case: "name", value: revoked } } as const;
      await dialing.call("dial", { name: revoked, service, flow: "down", count: 8 });
      await bench.network.admin.policy.revoke({ subject, reason: "soak" });
      await dialing.call("leave", { name: revoked });
      await bench.network.admin.policy.reinstate({ subject });
      await bench.join(dialing, revoked);
    },
  };
}

/** An MCP session that stands as long as it can. */
class Session implements AsyncDisposable {
  readonly #sallyport: Sallyport;
  #agent: Agent | undefined;

  constructor(sallyport: Sallyport) {
    this.#sallyport = sallyport;
  }

  async call(): Promise<void> {
    this.#agent ??= await Agent.connect(throughSallyport(this.#sallyport, caller, tools));
    try {
      await this.#agent.call("get-sum", { a: 19, b: 23 });
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.[Symbol.asyncDispose]();
  }
}

async function repeat(
  part: string,
  work: () => Promise<void>,
  tally: Readonly<Record<string, { done: number; failed: number; lastFailure: string }>>,
  signal: AbortSignal,
): Promise<void> {
  const own = tally[part];
  const pauses: Readonly<Record<string, number>> = rhythmMs;
  while (own !== undefined && !signal.aborted) {
    try {
      await work();
      own.done += 1;
    } catch (error) {
      own.failed += 1;
      own.lastFailure = error instanceof Error ? error.message : String(error);
    }
    await pause(pauses[part] ?? 1_000, signal);
  }
}

function emptyTally(): Tally {
  const none = { done: 0, failed: 0, lastFailure: "" };
  return {
    circuits: { ...none },
    calls: { ...none },
    sessions: { ...none },
    bulk: { ...none },
    revocation: { ...none },
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
