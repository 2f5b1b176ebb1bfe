import { setTimeout as sleep } from "node:timers/promises";
import type { AdminClients, RouterClient } from "./admin-clients.ts";
import type { Constellation } from "./constellation.ts";
import { routerProcess, type ProcessName } from "./roles.ts";
import { untilAborted } from "./until-aborted.ts";

export interface RestartOptions {
  /** How long the circuits of a router may go on before they are ended; it is over as soon as there are none. Default 10,000. Ignored for others. */
  readonly drainMs?: number;
  /** Between SIGTERM and SIGKILL. Default 5,000. */
  readonly graceMs?: number;
  /** From SIGTERM to the readiness of the next process. Default 60,000. */
  readonly timeoutMs?: number;
}

const LOOK_EVERY_MS = 50;

/** @throws ConstellationError START_TIMEOUT */
export async function restartProcess(
  constellation: Constellation,
  admin: AdminClients,
  name: ProcessName | "nats",
  { drainMs = 10_000, graceMs = 5_000, timeoutMs = 60_000 }: RestartOptions,
): Promise<void> {
  const router = admin.routers.find((one) => routerProcess(one.name) === name);
  // One that does not answer has nothing left to lose.
  if (router !== undefined) await drain(router.client, drainMs).catch(() => undefined);
  await untilAborted(constellation.restart(name, { graceMs }), AbortSignal.timeout(timeoutMs));
}

/** Until the last circuit is over, at the latest at the deadline. */
async function drain(router: RouterClient, deadlineMs: number): Promise<void> {
  const timeoutMs = 5_000;
  const { deadlineUnixMs } = await router.drain({ deadlineMs, reason: "restart" }, { timeoutMs });
  while (Date.now() < deadlineUnixMs && (await router.getStatus({}, { timeoutMs })).circuits > 0)
    await sleep(LOOK_EVERY_MS);
}
