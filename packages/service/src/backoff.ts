import { setTimeout as sleep } from "node:timers/promises";

/**
 * Waits, without holding the process alive.
 * @throws the signal's reason when it is aborted.
 */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal, ref: false });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

export interface BackoffOptions {
  /** First pause. */
  readonly firstMs: number;
  /** Longest pause. */
  readonly maxMs: number;
}

/** Pauses that double up to a limit; each is drawn between half of it and the whole, so that many who failed together do not return together. */
export function* backoffPauses({ firstMs, maxMs }: BackoffOptions): Generator<number, never, void> {
  for (let ms = firstMs; ; ms = Math.min(ms * 2, maxMs)) yield ms * (0.5 + Math.random() / 2);
}

/**
 * Tries until it works or the signal is aborted.
 * @param onFailure told of each failed attempt and the pause that follows; a throw ends the attempts.
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  options: BackoffOptions & {
    readonly signal: AbortSignal;
    readonly onFailure?: (error: unknown, pauseMs: number) => void;
  },
): Promise<T> {
  for (const pauseMs of backoffPauses(options)) {
    options.signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      options.signal.throwIfAborted();
      options.onFailure?.(error, pauseMs);
    }
    await pause(pauseMs, options.signal);
  }
  throw new Error("unreachable: the pauses never end");
}
