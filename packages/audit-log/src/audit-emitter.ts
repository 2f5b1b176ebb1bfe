import { randomBytes } from "node:crypto";
import type { SvidSource } from "@sallyport/identity";
import { Event, SignedBlock } from "@sallyport/proto/audit";
import { NO_PREVIOUS, blockHash, packBlock, signBlock } from "./block.ts";
import type { BlockJournal } from "./block-journal.ts";
import { BlockDelivery, type PublishBlock } from "./block-delivery.ts";
import { AuditLogError } from "./errors.ts";
import { type EventInput, completeEvent } from "./event.ts";
import { MAX_EVENT_BYTES } from "./limits.ts";
import { OpenBlock } from "./open-block.ts";
import { Spool } from "./spool.ts";

const DEFAULT_MAX_SPOOL_BYTES = 268_435_456;
/** Blocks that wait in memory for a slow or full disk. */
const MAX_MEMORY_BYTES = 8_388_608;
/** After the spool was full, events are taken again below this part of it. */
const RESUME_AT = 0.9;
/** How long an end waits for the receiver; what is left waits on disk. */
const CLOSE_GRACE_MS = 2_000;

export interface AuditEmitterOptions {
  /** Folder of this identity's spool; made when absent. Shared by all processes of the identity. */
  readonly spoolDir: string;
  /** `Event.vantage` of events that name none. */
  readonly vantage: string;
  readonly identity: SvidSource;
  readonly publish: PublishBlock;
  /** Bytes that may wait on disk. Default 268,435,456. Beyond, events are dropped and counted. */
  readonly maxSpoolBytes?: number;
  /** Told of everything that an operator should know; default: nobody. */
  readonly onTrouble?: (trouble: AuditLogError) => void;
}

type State = { readonly kind: "open" } | { readonly kind: "closed"; readonly ended: Promise<void> };
/** `dropping` from the first event without room until there is room again and the loss itself is an event. */
type Room = { readonly kind: "enough" } | { readonly kind: "dropping"; readonly sinceUnixMs: number; count: number };

/** Where a process puts what it saw. Recording never waits and never throws; delivery goes on in the background until it succeeds. */
export class AuditEmitter implements AsyncDisposable {
  /** Random name of this emitter's hash chain, 32 hexadecimal digits. */
  readonly epoch: string;
  readonly #vantage: string;
  readonly #identity: SvidSource;
  readonly #maxSpoolBytes: number;
  readonly #onTrouble: (trouble: AuditLogError) => void;
  readonly #spool: Spool;
  readonly #delivery: BlockDelivery;
  readonly #openBlock: OpenBlock = new OpenBlock({
    onEvent: (event) => this.#journal.append(event),
    onClose: (events) => this.#seal(events),
  });
  #state: State = { kind: "open" };
  #room: Room = { kind: "enough" };
  #number = 0;
  #previous: Buffer = NO_PREVIOUS;
  #journal: BlockJournal;

  private constructor(epoch: string, spool: Spool, delivery: BlockDelivery, options: AuditEmitterOptions) {
    this.epoch = epoch;
    this.#vantage = options.vantage;
    this.#identity = options.identity;
    this.#maxSpoolBytes = options.maxSpoolBytes ?? DEFAULT_MAX_SPOOL_BYTES;
    this.#onTrouble = options.onTrouble ?? (() => {});
    this.#spool = spool;
    this.#delivery = delivery;
    this.#journal = spool.journal(1, NO_PREVIOUS);
    delivery.onSettled(() => this.#reportLoss());
  }

  /** Opens the spool and takes over what crashed processes of this identity left in it. */
  static async open(options: AuditEmitterOptions): Promise<AuditEmitter> {
    const epoch = randomBytes(16).toString("hex");
    const spool = await Spool.open(options.spoolDir, epoch);
    const { identity, publish, onTrouble = () => {} } = options;
    const delivery = new BlockDelivery({
      spool,
      adopted: await spool.adopt(identity.current()),
      identity,
      publish,
      onTrouble,
    });
    return new AuditEmitter(epoch, spool, delivery, options);
  }

  /** False while events are lost or only in memory: an operator must act. */
  get healthy(): boolean {
    return this.#room.kind === "enough" && this.#delivery.isWritable;
  }

  /** Takes one event. Its id, time and vantage are filled when absent, every cap of `audit.proto` is enforced by cutting. */
  record(input: EventInput): void {
    if (this.#state.kind === "closed") return;
    const nowUnixMs = Date.now();
    if (!this.#hasRoom()) {
      this.#drop(nowUnixMs);
      return;
    }
    this.#reportLoss();
    this.#add(input, nowUnixMs);
  }

  /** Resolves when everything recorded so far is acknowledged. Rejects with the signal's reason when that takes too long for the caller. */
  async flush(signal?: AbortSignal): Promise<void> {
    this.#openBlock.close();
    await this.#delivery.settled(signal);
  }

  /** Writes what is open to disk, waits up to 2 s for the receiver, and leaves the rest to the next process of this identity. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state.kind === "open") this.#state = { kind: "closed", ended: this.#close() };
    await this.#state.ended;
  }

  async #close(): Promise<void> {
    await this.flush(AbortSignal.timeout(CLOSE_GRACE_MS)).catch(() => {});
    await this.#delivery.stop();
    await this.#spool[Symbol.asyncDispose]();
  }

  #add(input: EventInput, nowUnixMs: number): void {
    try {
      const bytes = Buffer.from(Event.encode(completeEvent(input, this.#vantage, nowUnixMs)).finish());
      if (bytes.length > MAX_EVENT_BYTES) throw new RangeError(`${bytes.length} bytes`);
      this.#openBlock.add(bytes);
    } catch (cause) {
      this.#onTrouble(
        new AuditLogError("EVENT_UNENCODABLE", `An event of kind ${String(input.kind)} could not be encoded`, {
          cause,
        }),
      );
    }
  }

  #seal(events: readonly Buffer[]): void {
    const { epoch } = this;
    const number = (this.#number += 1);
    const block = packBlock({ epoch, number, previous: this.#previous, events, timeUnixMs: Date.now() });
    const signed = SignedBlock.encode(signBlock(block, this.#identity.current())).finish();
    this.#previous = blockHash(block);
    this.#delivery.enqueue({ epoch, number, bytes: Buffer.from(signed), journal: this.#journal });
    this.#journal = this.#spool.journal(number + 1, this.#previous);
  }

  #hasRoom(): boolean {
    const waiting = this.#delivery.cost + this.#openBlock.bytes;
    const limit = this.#room.kind === "enough" ? this.#maxSpoolBytes : this.#maxSpoolBytes * RESUME_AT;
    return waiting < limit && this.#delivery.memoryBytes + this.#openBlock.bytes < MAX_MEMORY_BYTES;
  }

  #drop(nowUnixMs: number): void {
    if (this.#room.kind === "dropping") {
      this.#room.count += 1;
      return;
    }
    this.#room = { kind: "dropping", sinceUnixMs: nowUnixMs, count: 1 };
    this.#onTrouble(
      new AuditLogError(
        "SPOOL_FULL",
        "The audit spool is full; events are dropped and counted until the receiver takes blocks again",
      ),
    );
  }

  /** Puts on record how many events were lost, once there is room for that. */
  #reportLoss(): void {
    if (this.#room.kind === "enough" || this.#state.kind === "closed" || !this.#hasRoom()) return;
    const { count, sinceUnixMs } = this.#room;
    this.#room = { kind: "enough" };
    const attributes = { count: String(count), since_unix_ms: String(sinceUnixMs) };
    this.#add({ kind: "events.dropped", outcome: "error", errorCode: "SPOOL_FULL", attributes }, Date.now());
  }
}
