import type { Constellation } from "./constellation.ts";
import type { ProcessName } from "./roles.ts";
import { untilAborted } from "./until-aborted.ts";

export interface RestartOptions {
  /** Between SIGTERM and SIGKILL. Default 5,000. */
  readonly graceMs?: number;
  /** From the end of the old process to the readiness of the new one. Default 60,000. */
  readonly timeoutMs?: number;
}

/** @throws ConstellationError START_TIMEOUT */
export async function restartProcess(
  constellation: Constellation,
  name: ProcessName | "nats",
  { graceMs = 5_000, timeoutMs = 60_000 }: RestartOptions,
): Promise<void> {
  await untilAborted(constellation.restart(name, { graceMs }), AbortSignal.timeout(graceMs + timeoutMs));
}
