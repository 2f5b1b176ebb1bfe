/**
 * Blocks on their way from this process to the receiver.
 *
 * 1. A block is on disk before it is published, unless the disk refuses it: then it is published from memory.
 * 2. Blocks are published one at a time and in order, so that the receiver sees an epoch's hash chain as it grew.
 * 3. A block leaves the disk only after the receiver answered. A crash in between publishes it again; its id makes that one row.
 */
import { EventEmitter, once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { SvidSource } from "@sallyport/identity";
import type { SignedBlock } from "@sallyport/proto/audit";
import type { BlockJournal } from "./block-journal.ts";
import { AuditLogError } from "./errors.ts";
import { freshlySigned } from "./freshly-signed.ts";
import type { Spool, SpooledBlock } from "./spool.ts";

/** Hands a block to the receiver. A throw means "not now". */
export type PublishBlock = (block: SignedBlock, signal: AbortSignal) => Promise<"stored" | "invalid">;

type Placement = { readonly kind: "disk"; readonly path: string } | { readonly kind: "memory"; readonly bytes: Buffer };

interface QueuedBlock {
  readonly epoch: string;
  readonly number: number;
  readonly cost: number;
  placement: Promise<Placement>;
}

/** A file takes at least a page of the disk and some memory here. */
const MIN_BLOCK_COST = 4_096;
const PUBLISH_TIMEOUT_MS = 20_000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

export class BlockDelivery {
  readonly #spool: Spool;
  readonly #identity: SvidSource;
  readonly #publish: PublishBlock;
  readonly #onTrouble: (trouble: AuditLogError) => void;
  readonly #progress = new EventEmitter().setMaxListeners(0);
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  readonly #queue: QueuedBlock[];
  #settledCount = 0;
  #cost = 0;
  #memoryBytes = 0;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #isWritable = true;

  constructor(options: {
    readonly spool: Spool;
    readonly adopted: readonly SpooledBlock[];
    readonly identity: SvidSource;
    readonly publish: PublishBlock;
    readonly onTrouble: (trouble: AuditLogError) => void;
  }) {
    this.#spool = options.spool;
    this.#identity = options.identity;
    this.#publish = options.publish;
    this.#onTrouble = options.onTrouble;
    this.#queue = options.adopted.map(({ epoch, number, path, bytes }) => ({
      epoch,
      number,
      cost: Math.max(bytes, MIN_BLOCK_COST),
      placement: Promise.resolve({ kind: "disk", path }),
    }));
    for (const block of this.#queue) this.#cost += block.cost;
    this.#ended = this.#deliverAll();
  }

  /** Bytes that wait, on disk and in memory. */
  get cost(): number {
    return this.#cost;
  }

  /** Bytes that are not on disk (yet). */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** Whether the last block could be written to disk. */
  get isWritable(): boolean {
    return this.#isWritable;
  }

  /** @param block.journal of the block's events; discarded once the block itself is on disk */
  enqueue(block: {
    readonly epoch: string;
    readonly number: number;
    readonly bytes: Buffer;
    readonly journal: BlockJournal;
  }): void {
    const { epoch, number, bytes, journal } = block;
    const cost = Math.max(bytes.length, MIN_BLOCK_COST);
    this.#memoryBytes += bytes.length;
    this.#cost += cost;
    const placement = this.#lastWrite.then(async () => {
      const placed = await this.#place(number, bytes);
      await journal.discard();
      return placed;
    });
    this.#lastWrite = placement;
    this.#queue.push({ epoch, number, cost, placement });
    this.#progress.emit("change");
  }

  /** Resolves when nothing that was enqueued so far waits any more. */
  async settled(signal?: AbortSignal): Promise<void> {
    const target = this.#settledCount + this.#queue.length;
    try {
      while (this.#settledCount < target) await once(this.#progress, "change", signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  /** Calls back after each block that left. */
  onSettled(listener: () => void): void {
    this.#progress.on("settled", listener);
  }

  /** Ends publishing, and gives blocks that are only in memory a last chance of the disk. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    await this.#lastWrite;
    for (const block of this.#queue) {
      const placement = await block.placement;
      if (placement.kind === "memory") await this.#place(block.number, placement.bytes);
    }
  }

  async #place(number: number, bytes: Buffer): Promise<Placement> {
    try {
      const path = await this.#spool.write(number, bytes);
      this.#memoryBytes -= bytes.length;
      this.#isWritable = true;
      return { kind: "disk", path };
    } catch (cause) {
      if (this.#isWritable) {
        this.#onTrouble(
          new AuditLogError("SPOOL_UNWRITABLE", "The audit spool cannot be written; blocks wait in memory only", {
            cause,
          }),
        );
      }
      this.#isWritable = false;
      return { kind: "memory", bytes };
    }
  }

  async #deliverAll(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.#stop.signal.aborted) {
      const head = this.#queue[0];
      try {
        if (head === undefined) {
          await once(this.#progress, "change", { signal: this.#stop.signal });
        } else {
          await this.#deliver(head);
          retryMs = FIRST_RETRY_MS;
        }
      } catch (cause) {
        if (this.#stop.signal.aborted) return;
        this.#onTrouble(
          new AuditLogError("PUBLISH_FAILED", "A block of audit events could not be handed over; it is tried again", {
            cause,
          }),
        );
        await delay(retryMs * (0.5 + Math.random()), undefined, { ref: false, signal: this.#stop.signal }).catch(
          () => {},
        );
        retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
      }
    }
  }

  async #deliver(block: QueuedBlock): Promise<void> {
    const placement = await block.placement;
    const bytes = placement.kind === "memory" ? placement.bytes : await this.#spool.read(placement.path);
    const signed = freshlySigned(bytes, this.#identity.current());
    if (signed === null) {
      await this.#setAside(block, placement, "SPOOL_DAMAGED", "is not a block of this identity");
      return;
    }
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(PUBLISH_TIMEOUT_MS)]);
    const outcome = await Promise.race([this.#publish(signed, signal), rejectedOn(signal)]);
    if (outcome === "invalid") {
      await this.#setAside(block, placement, "BLOCK_REFUSED", "was refused for good by its receiver");
      return;
    }
    if (placement.kind === "disk") await this.#spool.remove(placement.path);
    this.#settle(block, placement);
  }

  async #setAside(
    block: QueuedBlock,
    placement: Placement,
    code: "SPOOL_DAMAGED" | "BLOCK_REFUSED",
    what: string,
  ): Promise<void> {
    if (placement.kind === "disk") await this.#spool.refuse(placement.path, block.epoch, block.number);
    this.#settle(block, placement);
    this.#onTrouble(
      new AuditLogError(code, `Audit block ${block.number} of epoch ${block.epoch} ${what}; it was set aside`),
    );
  }

  #settle(block: QueuedBlock, placement: Placement): void {
    this.#queue.shift();
    this.#settledCount += 1;
    this.#cost -= block.cost;
    if (placement.kind === "memory") this.#memoryBytes -= placement.bytes.length;
    this.#progress.emit("change");
    this.#progress.emit("settled");
  }
}

function rejectedOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
