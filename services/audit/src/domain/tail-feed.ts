import { EventEmitter, once } from "node:events";
import type { Event } from "@sallyport/proto/audit";
import { AuditError } from "../errors.ts";
import { type CheckedFilter, matches } from "./filter.ts";

/** Events that one slow reader may leave waiting here. */
const MAX_WAITING = 10_000;
const MAX_TAILS = 64;

/** Hands events to whoever follows, as they become durable. */
export class TailFeed {
  readonly #feed = new EventEmitter().setMaxListeners(0);

  publish(events: readonly Event[]): void {
    this.#feed.emit("events", events);
  }

  /**
   * Events from now on that match, until the signal is aborted.
   * @throws {AuditError} TAIL_TOO_SLOW, TAIL_LIMIT_EXCEEDED
   */
  async *follow(filter: CheckedFilter, signal: AbortSignal): AsyncGenerator<Event, void, void> {
    if (this.#feed.listenerCount("events") >= MAX_TAILS) {
      throw new AuditError("TAIL_LIMIT_EXCEEDED", `At most ${MAX_TAILS} tails are served at once`);
    }
    const waiting: Event[] = [];
    const arrivals = new EventEmitter();
    const take = (events: readonly Event[]): void => {
      waiting.push(...events.filter((event) => matches(event, filter)));
      arrivals.emit("arrival");
    };
    this.#feed.on("events", take);
    try {
      while (!signal.aborted) {
        if (waiting.length > MAX_WAITING)
          throw new AuditError(
            "TAIL_TOO_SLOW",
            "Events come faster than they are read; search for those that were missed",
          );
        const event = waiting.shift();
        if (event === undefined) await once(arrivals, "arrival", { signal });
        else yield event;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#feed.off("events", take);
    }
  }
}
