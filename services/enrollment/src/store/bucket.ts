import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { z } from "zod";
import type { Versioned } from "../domain/ports.ts";
import { EnrollmentError } from "../errors.ts";

/** JSON values of one kind in a key-value bucket, changed by compare-and-set only. */
export class Bucket<T> {
  readonly #kv: KV;
  readonly #schema: z.ZodType<T>;

  constructor(kv: KV, schema: z.ZodType<T>) {
    this.#kv = kv;
    this.#schema = schema;
  }

  async get(key: string): Promise<Versioned<T> | null> {
    const entry = await reaching(() => this.#kv.get(key));
    if (entry === null || entry.operation !== "PUT") return null;
    return { value: this.#schema.parse(entry.json()), revision: entry.revision };
  }

  /** Null when the key exists. */
  async create(key: string, value: T): Promise<Versioned<T> | null> {
    return await swapped(value, () => this.#kv.create(key, JSON.stringify(value)));
  }

  /** Null when the value is no longer the one of `revision`. */
  async replace(key: string, revision: number, value: T): Promise<Versioned<T> | null> {
    return await swapped(value, () => this.#kv.update(key, JSON.stringify(value), revision));
  }

  /** @param filter a subject pattern such as `token.*` */
  async list(filter: string): Promise<readonly T[]> {
    const keys: string[] = [];
    for await (const key of await reaching(() => this.#kv.keys(filter))) keys.push(key);
    const values = await Promise.all(keys.map((key) => this.get(key)));
    return values.filter((value) => value !== null).map(({ value }) => value);
  }
}

async function swapped<T>(value: T, put: () => Promise<number>): Promise<Versioned<T> | null> {
  try {
    return { value, revision: await put() };
  } catch (cause) {
    if (cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamWrongLastSequence) return null;
    throw unavailable(cause);
  }
}

async function reaching<R>(ask: () => Promise<R>): Promise<R> {
  try {
    return await ask();
  } catch (cause) {
    throw unavailable(cause);
  }
}

function unavailable(cause: unknown): EnrollmentError {
  return new EnrollmentError("STORE_UNAVAILABLE", "The store of tokens and renewals cannot be reached.", {
    cause,
    remedy: "Try again in a moment.",
  });
}
