import { JetStreamApiError } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import { PublishingError } from "../errors.ts";

/** A value as it was read; `revision` is what a write must still find. */
export interface Entry {
  readonly value: Uint8Array;
  readonly revision: number;
}

/** JetStream: "wrong last sequence". */
const WRONG_LAST_SEQUENCE = 10_071;

/**
 * A key-value bucket that is only ever written by compare-and-set, so that any number of replicas may write.
 * Every method throws PublishingError BUS_UNAVAILABLE when the bus does not do it.
 */
export class CasBucket {
  readonly #kv: KV;

  constructor(kv: KV) {
    this.#kv = kv;
  }

  /** Null when the key was never written or is deleted. */
  async read(key: string): Promise<Entry | null> {
    const entry = await onBus(this.#kv.get(key));
    return entry === null || entry.operation !== "PUT" ? null : { value: entry.value, revision: entry.revision };
  }

  /** Writes where `before` is still what the bucket holds. */
  async write(key: string, value: Uint8Array, before: Entry | null): Promise<"written" | "conflict"> {
    return await unlessConflict(
      before === null ? this.#kv.create(key, value) : this.#kv.update(key, value, before.revision),
    );
  }

  async remove(key: string, before: Entry): Promise<"written" | "conflict"> {
    return await unlessConflict(this.#kv.delete(key, { previousSeq: before.revision }));
  }

  async keys(filter: string): Promise<string[]> {
    return await onBus(this.#collectKeys(filter));
  }

  async #collectKeys(filter: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const key of await this.#kv.keys(filter)) keys.push(key);
    return keys;
  }
}

async function unlessConflict(write: Promise<unknown>): Promise<"written" | "conflict"> {
  try {
    await write;
    return "written";
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return "conflict";
    throw unavailable(error);
  }
}

async function onBus<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    throw unavailable(error);
  }
}

function unavailable(cause: unknown): PublishingError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PublishingError("BUS_UNAVAILABLE", `the bus did not answer: ${why}`, {
    remedy: "Check that nats-server runs; then try again.",
    cause,
  });
}
