import type { NatsConnection } from "@nats-io/transport-node";

/** How long a rotation waits for requests that are under way; the bus's own answer within milliseconds. */
const IDLE_TIMEOUT_MS = 5_000;

/**
 * Keeps requests and rotations of a connection apart: the client library loses a request that is under way, or comes, while it makes its
 * connection anew.
 *
 * 1. A rotation begins when no request is under way, and requests that come meanwhile wait for its end.
 * 2. An outage is not a rotation: requests fail as they always do.
 */
export class RequestGate {
  #underWay = 0;
  #idle: (() => void) | null = null;
  #rotation: Promise<void> | null = null;

  /** From now on the requests of `connection` pass here: those of JetStream and of key-value buckets too, which are made by it. */
  guard(connection: NatsConnection): void {
    const request = connection.request.bind(connection);
    connection.request = async (...args) => {
      while (this.#rotation !== null) await this.#rotation;
      this.#underWay += 1;
      try {
        return await request(...args);
      } finally {
        this.#underWay -= 1;
        if (this.#underWay === 0) this.#idle?.();
      }
    };
  }

  /** Runs `rotate` with no request under way, unless one stays so for long: then that one fails, as in an outage. */
  async rotate(rotate: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    await this.#rotation;
    this.#rotation = promise;
    try {
      await this.#untilIdle();
      await rotate();
    } finally {
      this.#rotation = null;
      resolve();
    }
  }

  async #untilIdle(): Promise<void> {
    if (this.#underWay === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, IDLE_TIMEOUT_MS);
    this.#idle = resolve;
    await promise;
    this.#idle = null;
    clearTimeout(timer);
  }
}
