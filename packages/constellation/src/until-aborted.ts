import { ConstellationError } from "./constellation-error.ts";

/** The result of `work`, unless the signal comes first. @throws ConstellationError START_TIMEOUT, or the signal's own reason. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(abortReason(signal));
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function abortReason(signal: AbortSignal): unknown {
  if (!(signal.reason instanceof DOMException) || signal.reason.name !== "TimeoutError") return signal.reason;
  return new ConstellationError({
    code: "START_TIMEOUT",
    message: "the network did not become ready in time",
    remedy: "Look at the logs in the state folder, or start again on a quieter machine.",
  });
}
