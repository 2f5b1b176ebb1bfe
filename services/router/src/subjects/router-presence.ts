import { pause, type Bus, type Logger } from "@sallyport/service";

const announceEveryMs = 10_000;
/** Three announcements may be lost before a router counts as gone. */
const presenceTtlMs = 35_000;
const retryMs = 500;

export interface RouterPresence {
  readonly routerId: string;
  readonly epoch: number;
  readonly publicAddress: string;
  /** `host:port` where other routers' links come in. */
  readonly linkAddress: string;
}

interface BusOptions {
  readonly bus: Pick<Bus, "kv">;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Keeps this router's entry in the bucket `routers` until `signal` aborts. Never rejects. */
export async function announceRouter(
  options: BusOptions & { readonly name: string; readonly presence: RouterPresence },
): Promise<void> {
  const { name, presence, log, signal } = options;
  while (!signal.aborted) {
    let pauseMs = announceEveryMs;
    try {
      const bucket = await routersBucket(options);
      await bucket.put(name, JSON.stringify({ ...presence, atUnixMs: Date.now() }));
    } catch (error) {
      pauseMs = retryMs;
      if (!signal.aborted) log.debug({ err: error }, "this router's presence is not announced");
    }
    if (!signal.aborted) await pause(pauseMs, signal).catch(() => undefined);
  }
}

/**
 * Tells `onPresence` of every router on the bus, this one too, and again with each of its announcements, until `signal` aborts, over every loss of the
 * bus. What is told is only where to look: who is there, a handshake proves. Never rejects.
 */
export async function followRouters(
  options: BusOptions & { readonly onPresence: (presence: RouterPresence) => void },
): Promise<void> {
  const { log, signal } = options;
  while (!signal.aborted) {
    try {
      await watchOnce(options);
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error }, "the watch on the routers ended");
    }
    if (!signal.aborted) await pause(retryMs, signal).catch(() => undefined);
  }
}

async function watchOnce(
  options: BusOptions & { readonly onPresence: (presence: RouterPresence) => void },
): Promise<void> {
  const { log, signal, onPresence } = options;
  const bucket = await routersBucket(options);
  const entries = await bucket.watch();
  const stop = (): void => entries.stop();
  // The own announcement comes by here too: a watch that is silent for longer has died without saying so.
  const watchdog = setTimeout(stop, presenceTtlMs).unref();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const { operation, key, value } of entries) {
      watchdog.refresh();
      if (operation !== "PUT") continue;
      const presence = presenceOf(value);
      if (presence === null) log.warn({ key }, "an entry of the bucket of routers cannot be read");
      else onPresence(presence);
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
  }
}

function routersBucket({ bus, signal }: BusOptions): ReturnType<Bus["kv"]> {
  return bus.kv("routers", { create: { ttl: presenceTtlMs, history: 1 }, signal });
}

/** Null for what no router of this version writes. */
function presenceOf(bytes: Uint8Array): RouterPresence | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof value !== "object" || value === null) return null;
    const text = (key: string): string => {
      const member: unknown = Reflect.get(value, key);
      return typeof member === "string" ? member : "";
    };
    const epoch: unknown = Reflect.get(value, "epoch");
    const [routerId, publicAddress, linkAddress] = [text("routerId"), text("publicAddress"), text("linkAddress")];
    if (routerId === "" || typeof epoch !== "number") return null;
    return { routerId, epoch, publicAddress, linkAddress };
  } catch {
    return null;
  }
}
