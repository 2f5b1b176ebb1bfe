import type { Drain, GetStatusResponse } from "@sallyport/proto/router";
import { failureOf, type Failure } from "./failure.ts";
import type { NamedRouter } from "./routers.ts";

/** What one router says of itself, or why it does not. */
export type RouterAnswer =
  | ({ readonly name: string; readonly ok: true } & GetStatusResponse)
  | { readonly name: string; readonly ok: false; readonly error: Failure };

export async function askRouters(
  routers: readonly NamedRouter[],
  options: { readonly signal: AbortSignal; readonly timeoutMs?: number },
): Promise<readonly RouterAnswer[]> {
  return await Promise.all(
    routers.map(async ({ name, client }): Promise<RouterAnswer> => {
      try {
        return { name, ok: true, ...(await client.getStatus({}, options)) };
      } catch (error) {
        options.signal.throwIfAborted();
        return { name, ok: false, error: failureOf(error) };
      }
    }),
  );
}

/** `up`, `admits nobody: …`, `draining until 12:30:00`, `drained`. Times in UTC. */
export function stateWords({
  drain,
  notAdmittingBecause,
}: Pick<GetStatusResponse, "drain" | "notAdmittingBecause">): string {
  if (drain !== undefined) return drainWords(drain);
  return notAdmittingBecause === "" ? "up" : `admits nobody: ${notAdmittingBecause}`;
}

function drainWords({ drained, deadlineUnixMs }: Drain): string {
  return drained ? "drained" : `draining until ${timeOf(deadlineUnixMs)}`;
}

/** `12:30:00`, UTC. */
export function timeOf(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(11, 19);
}
