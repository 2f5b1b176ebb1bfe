/**
 * Subject `audit.*`: takes blocks off the bus, and off it only when they are stored.
 *
 * 1. While one batch is stored, the next one gathers: a batch is as large as the store is slow.
 * 2. What is held is renewed on the bus, so that nothing comes again only because the store takes its time.
 * 3. A batch that could not be stored is tried again until it is; messages stay unacknowledged meanwhile.
 * 4. One message that the store will never take must not hold up all that follow: it alone is set aside.
 */
import { EventEmitter, once } from "node:events";
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import { type Bus, type Logger, pause, retry } from "@sallyport/service";
import type { BusMessage } from "../domain/admit-block.ts";
import type { Ingest } from "../domain/ingest.ts";
import { AuditError } from "../errors.ts";
import { ACK_WAIT_MS, CONSUMER, MAX_ACK_PENDING, STREAM, ensureAuditStream } from "./audit-stream.ts";

export interface AuditBlocksOptions {
  readonly bus: Pick<Bus, "jetstream" | "jetstreamManager">;
  readonly ingest: Ingest;
  readonly log: Logger;
  /** Called at each time the stream is being consumed. */
  readonly onConsuming: () => void;
  /** Default {@link ACK_WAIT_MS}. */
  readonly ackWaitMs?: number;
}

const MAX_BATCH_MESSAGES = 256;
const MAX_BATCH_BYTES = 16_777_216;
/** So long a batch gathers at least, so that steady trickles do not become a part of the table each. */
const GATHER_MS = 25;
const PENDING_TIMEOUT_MS = 2_000;
const RETRY = { firstMs: 100, maxMs: 2_000 };

export class AuditBlocks implements AsyncDisposable {
  readonly #options: AuditBlocksOptions;
  readonly #ackWaitMs: number;
  readonly #held: JsMsg[] = [];
  readonly #arrivals = new EventEmitter();
  readonly #stop = new AbortController();
  readonly #startedAt: number = Date.now();
  readonly #renewal: NodeJS.Timeout;
  readonly #ended: Promise<unknown>;

  constructor(options: AuditBlocksOptions) {
    this.#options = options;
    this.#ackWaitMs = options.ackWaitMs ?? ACK_WAIT_MS;
    this.#renewal = setInterval(() => this.#renew(), this.#ackWaitMs / 3).unref();
    this.#ended = Promise.allSettled([this.#consumeAlways(), this.#storeAlways()]);
  }

  /**
   * Messages on the stream that are not stored yet.
   * @throws {AuditError} BUS_UNAVAILABLE
   */
  async pending(): Promise<number> {
    try {
      const manager = await this.#options.bus.jetstreamManager(AbortSignal.timeout(PENDING_TIMEOUT_MS));
      const info = await manager.consumers.info(STREAM, CONSUMER);
      return info.num_pending + info.num_ack_pending;
    } catch (cause) {
      throw new AuditError("BUS_UNAVAILABLE", "The bus does not tell how many blocks wait there", { cause });
    }
  }

  /** Takes nothing new, stores what runs, leaves the rest to the bus. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#renewal);
    await this.#ended;
    for (const message of this.#held) message.nak();
  }

  async #consumeAlways(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await retry(() => this.#consume(), {
        ...RETRY,
        signal,
        onFailure: (error) => this.#options.log.debug({ err: error }, "the audit stream is not there yet"),
      }).catch(() => {});
      if (!signal.aborted) await pause(RETRY.firstMs, signal).catch(() => {});
    }
  }

  async #consume(): Promise<void> {
    const { bus, onConsuming } = this.#options;
    const { signal } = this.#stop;
    await ensureAuditStream(await bus.jetstreamManager(signal), this.#ackWaitMs);
    const consumer = await bus.jetstream().consumers.get(STREAM, CONSUMER);
    const messages: ConsumerMessages = await consumer.consume({
      max_messages: MAX_ACK_PENDING,
      abort_on_missing_resource: true,
      callback: (message) => this.#take(message),
    });
    const stop = (): void => void messages.close();
    signal.addEventListener("abort", stop, { once: true });
    onConsuming();
    try {
      const end = await messages.closed();
      if (end instanceof Error) throw end;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #take(message: JsMsg): void {
    this.#held.push(message);
    this.#arrivals.emit("arrival");
  }

  async #storeAlways(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#held.length === 0) await once(this.#arrivals, "arrival", { signal });
        await pause(GATHER_MS, signal);
        const batch = this.#nextBatch();
        await this.#store(batch);
        this.#held.splice(0, batch.length);
        for (const message of batch) message.ack();
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  /** From the front of what is held; it stays there, and is renewed, until it is stored. */
  #nextBatch(): JsMsg[] {
    const batch: JsMsg[] = [];
    let bytes = 0;
    for (const message of this.#held.slice(0, MAX_BATCH_MESSAGES)) {
      bytes += message.data.length;
      if (batch.length > 0 && bytes > MAX_BATCH_BYTES) break;
      batch.push(message);
    }
    return batch;
  }

  async #store(batch: readonly JsMsg[]): Promise<void> {
    const messages = batch
      .map((message) => ({
        subject: message.subject,
        data: message.data,
        streamSequence: message.seq,
        storedAt: message.time,
      }))
      .toSorted((a, b) => a.streamSequence - b.streamSequence);
    let mayBeStored = batch.some((message) => message.redelivered) || this.#mayInherit();
    await retry(() => this.#storeWhole(messages, mayBeStored), {
      ...RETRY,
      signal: this.#stop.signal,
      onFailure: (error, pauseMs) => {
        mayBeStored = true;
        this.#options.log.warn(
          { err: error, messages: messages.length, pauseMs },
          "audit blocks could not be stored and are tried again",
        );
      },
    });
  }

  /** Halves a batch that the store refuses until it is the one message at fault. */
  async #storeWhole(messages: readonly BusMessage[], mayBeStored: boolean): Promise<void> {
    const { ingest } = this.#options;
    try {
      await ingest.store(messages, mayBeStored);
    } catch (error) {
      const [first, ...rest] = messages;
      if (first === undefined || !(error instanceof AuditError) || error.code !== "STORE_REFUSED") throw error;
      if (rest.length === 0) {
        await ingest.giveUp(first, error.message);
        return;
      }
      const middle = messages.length >> 1;
      await this.#storeWhole(messages.slice(0, middle), true);
      await this.#storeWhole(messages.slice(middle), true);
    }
  }

  /** Whether a process before this one may have stored what comes now. */
  #mayInherit(): boolean {
    return Date.now() - this.#startedAt < this.#ackWaitMs * 3;
  }

  #renew(): void {
    for (const message of this.#held) message.working();
  }
}
