import type { ReadinessState } from "./readiness.ts";

/** What a service tells the supervisor that started it. */
export type SupervisorMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "waiting"; readonly for: readonly string[] }
  | { readonly kind: "listening"; readonly address: string };

/** Tells the supervisor; without one (started by hand, by systemd, in a container) it does nothing. */
export function tellSupervisor(message: SupervisorMessage | ReadinessState): void {
  if (process.connected) process.send?.(message);
}

/**
 * Aborts `controller` when the process is told to stop: SIGTERM, SIGINT, or the end of the supervisor's channel, so that no service
 * outlives a supervisor that was killed. The channel does not hold the process alive.
 */
export function stopOnRequest(controller: AbortController): void {
  const stop = (reason: string) => () => controller.abort(new Error(reason));
  process.once("SIGTERM", stop("SIGTERM"));
  process.once("SIGINT", stop("SIGINT"));
  process.once("disconnect", stop("supervisor gone"));
  process.channel?.unref();
}
