import { idKey, type RpcId } from "./message.ts";

/** How long a client may still answer what was taken back: its answer and our notice may cross. */
const crossingMs = 10_000;

/**
 * What servers asked of the client (until 2025-11-25: sampling, roots, elicitation), by id. Each server counts from the same number, so that an
 * answer to one that is gone could be taken for an answer to its successor.
 */
export class ServerRequests {
  readonly #open = new Map<string, RpcId>();
  /** Of servers that are gone, with the time from which nobody answers them any more. */
  readonly #takenBack = new Map<string, number>();

  /** Whether the client may be asked; false while its answer to an earlier server's request of the same id may come. */
  ask(id: RpcId): boolean {
    const key = idKey(id);
    if ((this.#takenBack.get(key) ?? 0) > performance.now()) return false;
    this.#takenBack.delete(key);
    this.#open.set(key, id);
    return true;
  }

  /** Whether the present server waits for the answer. */
  answer(id: RpcId): boolean {
    const key = idKey(id);
    this.#takenBack.delete(key);
    return this.#open.delete(key);
  }

  /** The server is gone: the notifications that take back what it asked. */
  takeBack(): readonly Buffer[] {
    const ids = [...this.#open.values()];
    for (const key of this.#open.keys()) this.#takenBack.set(key, performance.now() + crossingMs);
    this.#open.clear();
    return ids.map((requestId) => {
      const params = { requestId, reason: "The server that asked is gone." };
      return Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params })}\n`);
    });
  }
}
