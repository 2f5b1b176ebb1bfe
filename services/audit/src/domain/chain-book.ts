import { setTimeout as delay } from "node:timers/promises";
import type { AuditStore, BlockRange } from "../store/audit-store.ts";
import type { AdmittedBlock } from "./admit-block.ts";
import { type ChainFinding, type ChainHead, watchChain } from "./chain-watch.ts";

/** A finding and the block at which it was made. */
export interface ChainReport {
  readonly emitterId: string;
  readonly epoch: string;
  readonly number: number;
  readonly finding: ChainFinding;
}

const MAX_CHAINS = 10_000;
/** A block that failed once comes again within twice the bus's patience; only then is it missing. */
const GAP_GRACE_MS = 30_000;

/** Follows the hash chain of every emitter, and reports what breaks one. */
export class ChainBook implements AsyncDisposable {
  readonly #store: AuditStore;
  readonly #report: (report: ChainReport) => void;
  readonly #gapGraceMs: number;
  readonly #heads = new Map<string, ChainHead | null>();
  readonly #stop = new AbortController();
  readonly #checks = new Set<Promise<void>>();

  constructor(options: {
    readonly store: AuditStore;
    readonly report: (report: ChainReport) => void;
    readonly gapGraceMs?: number;
  }) {
    this.#store = options.store;
    this.#report = options.report;
    this.#gapGraceMs = options.gapGraceMs ?? GAP_GRACE_MS;
  }

  /** Reads the heads of chains that were not met before. Call before the blocks are stored. */
  async meet(blocks: readonly AdmittedBlock[]): Promise<void> {
    const strangers = blocks.filter((block) => !this.#heads.has(chainOf(block)));
    if (strangers.length === 0) return;
    const heads = await this.#store.chainHeads(strangers);
    if (this.#heads.size > MAX_CHAINS) this.#heads.clear();
    for (const block of strangers) this.#heads.set(chainOf(block), heads.get(chainOf(block)) ?? null);
  }

  /** Takes blocks that were stored just now, in the order of the bus. */
  follow(blocks: readonly AdmittedBlock[]): void {
    for (const block of blocks) {
      const { head, finding } = watchChain(this.#heads.get(chainOf(block)) ?? null, block);
      this.#heads.set(chainOf(block), head);
      if (finding?.kind === "previous_mismatch") this.#report({ ...placeOf(block), finding });
      if (finding?.kind === "gap") this.#watchGap(block, finding);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#checks);
  }

  #watchGap(block: AdmittedBlock, finding: Extract<ChainFinding, { kind: "gap" }>): void {
    const range: BlockRange = {
      emitterId: block.emitterId,
      epoch: block.epoch,
      first: finding.first,
      last: finding.last,
    };
    const check = this.#reportUnlessFilled(range, { ...placeOf(block), finding }).catch(() => {});
    this.#checks.add(check);
    void check.finally(() => this.#checks.delete(check));
  }

  async #reportUnlessFilled(range: BlockRange, report: ChainReport): Promise<void> {
    await delay(this.#gapGraceMs, undefined, { ref: false, signal: this.#stop.signal });
    const present = await this.#store.countBlocks(range).catch(() => 0);
    if (present < range.last - range.first + 1) this.#report(report);
  }
}

function chainOf(block: AdmittedBlock): string {
  return `${block.emitterId}:${block.epoch}`;
}

function placeOf({ emitterId, epoch, number }: AdmittedBlock): Pick<ChainReport, "emitterId" | "epoch" | "number"> {
  return { emitterId, epoch, number };
}
