import type { KvWatchEntry } from "@nats-io/kv";
import { PolicyError } from "@sallyport/policy-engine";
import { SignedEnvelope } from "@sallyport/proto/policy";
import { pause, type Bus, type Logger } from "@sallyport/service";
import type { PolicyMirror } from "../store/policy-mirror.ts";

/** Policy publishes a head every 10 s: a watch that is silent for longer has died without saying so. */
const silentWatchMs = 35_000;
const retryMs = 500;

const slicePrefix = "slice.";

export interface PolicyFeedOptions {
  readonly bus: Pick<Bus, "kv">;
  readonly mirror: PolicyMirror;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Follows the bucket `policy` into the mirror until `signal` aborts, over every loss of the bus. Never rejects. */
export async function followPolicy(options: PolicyFeedOptions): Promise<void> {
  const { log, signal } = options;
  while (!signal.aborted) {
    try {
      await watchOnce(options);
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, "the watch on policy ended");
    }
    if (!signal.aborted) await pause(retryMs, signal).catch(() => undefined);
  }
}

async function watchOnce({ bus, mirror, log, signal }: PolicyFeedOptions): Promise<void> {
  const bucket = await bus.kv("policy", { signal });
  const entries = await bucket.watch();
  const stop = (): void => entries.stop();
  const watchdog = setTimeout(stop, silentWatchMs).unref();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const entry of entries) {
      watchdog.refresh();
      take(entry, mirror, log);
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
  }
}

function take(entry: KvWatchEntry, mirror: PolicyMirror, log: Logger): void {
  if (entry.operation !== "PUT") {
    if (entry.key.startsWith(slicePrefix)) mirror.removeSlice(entry.key.slice(slicePrefix.length));
    return;
  }
  try {
    mirror.apply(SignedEnvelope.decode(entry.value));
  } catch (error) {
    // Each new watch begins with what is known already.
    if (error instanceof PolicyError && error.code === "REPLAYED")
      return log.debug({ key: entry.key }, "older than what is in force");
    log.error({ err: error, key: entry.key }, "an envelope on the bus was refused");
  }
}
