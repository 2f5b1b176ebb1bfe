import { pause, type Bus, type Logger } from "@sallyport/service";

const announceEveryMs = 10_000;
/** Three announcements may be lost before a router counts as gone. */
const presenceTtlMs = 35_000;

export interface RouterPresence {
  readonly routerId: string;
  readonly epoch: number;
  readonly publicAddress: string;
}

/** Keeps this router's entry in the bucket `routers` until `signal` aborts. For people and dashboards: nothing decides by it. Never rejects. */
export async function announceRouter(options: {
  readonly bus: Pick<Bus, "kv">;
  readonly name: string;
  readonly presence: RouterPresence;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { bus, name, presence, log, signal } = options;
  while (!signal.aborted) {
    try {
      const bucket = await bus.kv("routers", { create: { ttl: presenceTtlMs, history: 1 }, signal });
      await bucket.put(name, JSON.stringify({ ...presence, atUnixMs: Date.now() }));
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error }, "this router's presence is not announced");
    }
    if (!signal.aborted) await pause(announceEveryMs, signal).catch(() => undefined);
  }
}
