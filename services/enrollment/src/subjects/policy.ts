import type { KV } from "@nats-io/kv";
import type { PolicyState } from "@sallyport/policy-engine";
import { SignedEnvelope } from "@sallyport/proto/policy";
import { retry, type Logger } from "@sallyport/service";

const backoff = { firstMs: 100, maxMs: 5_000 };

/** One watch per key: a server before NATS 2.10 takes no list of them. */
const watchedKeys = ["denylist", "head"] as const;

/** Feeds the deny-list and the head of bucket `policy` to `state`, until the signal. Each is verified there; one that is not valid changes nothing. */
export async function followPolicy(options: {
  readonly kv: KV;
  readonly state: PolicyState;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  await Promise.all(watchedKeys.map((key) => followKey(key, options)));
}

async function followKey(
  key: string,
  {
    kv,
    state,
    log,
    signal,
  }: { readonly kv: KV; readonly state: PolicyState; readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const follow = async (): Promise<void> => {
    const watch = await kv.watch({ key });
    const stop = (): void => watch.stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      for await (const entry of watch) if (entry.operation === "PUT") take(entry.value, key, state, log);
    } finally {
      signal.removeEventListener("abort", stop);
    }
    if (!signal.aborted) throw new Error(`the watch on ${key} ended`);
  };
  await retry(follow, {
    ...backoff,
    signal,
    onFailure: (error) => log.warn({ err: error, key }, "the policy is not watched just now"),
  }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function take(value: Uint8Array, key: string, state: PolicyState, log: Logger): void {
  try {
    state.apply(SignedEnvelope.decode(value));
  } catch (error) {
    log.error({ err: error, key }, "an envelope of policy was refused");
  }
}
