import { setTimeout as pause } from "node:timers/promises";
import { WatchKind, type Figures, type Link } from "@sallyport/proto/router";
import { failureOf } from "../failure.ts";
import type { NamedRouter } from "../routers.ts";
import { ratesOf, type Rates } from "./rates.ts";

/** One router as `top` last saw it. */
export type RouterView =
  | { readonly kind: "connecting"; readonly name: string }
  | {
      readonly kind: "live";
      readonly name: string;
      readonly figures: Figures;
      readonly rates: Rates;
      readonly links: readonly Link[];
    }
  /** It does not answer; it is asked again. */
  | { readonly kind: "away"; readonly name: string; readonly why: string };

const BUSIEST = 10;
const AGAIN_MS = 1_000;
const ASK_TIMEOUT_MS = 3_000;

/** Follows one router until the signal: every loss is a view, and followed by another attempt. Never rejects. */
export async function followRouter(
  { name, client }: NamedRouter,
  figuresEveryMs: number,
  signal: AbortSignal,
  onView: (view: RouterView) => void,
): Promise<void> {
  const request = { kinds: [WatchKind.WATCH_KIND_FIGURES], figuresEveryMs, busiest: BUSIEST };
  while (!signal.aborted) {
    let why = "it ended the watch";
    try {
      let before: Figures | undefined;
      for await (const { event } of client.watch(request, { signal })) {
        if (event?.$case !== "figures") continue;
        const figures = event.value;
        const { links } = await client.listLinks({}, { signal, timeoutMs: ASK_TIMEOUT_MS });
        onView({ kind: "live", name, figures, rates: ratesOf(before, figures), links });
        before = figures;
      }
    } catch (error) {
      why = failureOf(error).message;
    }
    if (signal.aborted) return;
    onView({ kind: "away", name, why });
    await pause(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}
