/** Resolves at the signal, or when `work` does; rejects as `work` does. */
export async function untilStopped(signal: AbortSignal, work?: Promise<unknown>): Promise<void> {
  const stopped = Promise.withResolvers<void>();
  const onAbort = (): void => stopped.resolve();
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race(work === undefined ? [stopped.promise] : [stopped.promise, work]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
