/** Resolves at the signal, or when `work` does; rejects as `work` does. Holds the process alive meanwhile. */
export async function untilStopped(signal: AbortSignal, work?: Promise<unknown>): Promise<void> {
  const alive = setInterval(() => undefined, 2 ** 30);
  const stopped = Promise.withResolvers<void>();
  const onAbort = (): void => stopped.resolve();
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race(work === undefined ? [stopped.promise] : [stopped.promise, work]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    clearInterval(alive);
  }
}
