/**
 * From messages of the bus to rows, exactly once.
 *
 * 1. A block is known by (emitter, epoch, number). On record under the same hash: skipped. Under another: quarantined.
 * 2. Everything up to {@link Ingest.store}'s return can be done again without effect; only then are messages acknowledged.
 * 3. Whoever follows the record hears of an event once, after it is durable.
 */
import { blockHash, blockId } from "@sallyport/audit-log";
import type { TrustBundle } from "@sallyport/identity";
import type { Event } from "@sallyport/proto/audit";
import type { AuditStore } from "../store/audit-store.ts";
import { type AdmittedBlock, type BusMessage, type RefusedMessage, admitBlock } from "./admit-block.ts";
import type { ChainBook } from "./chain-book.ts";

export interface IngestOptions {
  readonly store: AuditStore;
  readonly chains: ChainBook;
  readonly bundle: () => TrustBundle;
  readonly onStored: (events: readonly Event[]) => void;
  readonly onRefused: (refused: RefusedMessage) => void;
}

export class Ingest {
  readonly #options: IngestOptions;

  constructor(options: IngestOptions) {
    this.#options = options;
  }

  /**
   * Stores a batch in the order of the bus.
   * @param mayBeStored whether an earlier attempt may have stored a part of it
   * @throws {AuditError} STORE_UNAVAILABLE, STORE_REFUSED
   */
  async store(messages: readonly BusMessage[], mayBeStored: boolean): Promise<void> {
    const { store, chains, onStored } = this.#options;
    const bundle = this.#options.bundle();
    const admitted: AdmittedBlock[] = [];
    const refused: RefusedMessage[] = [];
    for (const message of messages) {
      const block = admitBlock(message, bundle);
      if (block.kind === "admitted") admitted.push(block);
      else refused.push(block);
    }
    const fresh = admitted.length === 0 ? [] : this.#fresh(admitted, await store.storedBlocks(admitted), refused);
    if (fresh.length > 0) {
      await chains.meet(fresh);
      await store.insertEvents(fresh, mayBeStored ? await store.storedEvents(fresh) : new Map());
      await store.insertBlocks(fresh);
      chains.follow(fresh);
      onStored(fresh.flatMap((block) => block.events));
    }
    await this.#setAside(refused);
  }

  /** Sets a message aside that the store takes in no other way. */
  async giveUp(message: BusMessage, reason: string): Promise<void> {
    await this.#setAside([
      { kind: "refused", code: "STORE_REFUSED", reason, receivedFrom: "", receivedBy: "", message },
    ]);
  }

  async #setAside(refused: readonly RefusedMessage[]): Promise<void> {
    if (refused.length === 0) return;
    await this.#options.store.quarantine(refused);
    for (const message of refused) this.#options.onRefused(message);
  }

  /** Blocks that are not on record; one that contradicts the record is refused. */
  #fresh(
    admitted: readonly AdmittedBlock[],
    stored: ReadonlyMap<string, string>,
    refused: RefusedMessage[],
  ): AdmittedBlock[] {
    const known = new Map(stored);
    return admitted.filter((block) => {
      const id = blockId(block.emitterId, block.epoch, block.number);
      const hash = blockHash(block.signed.block).toString("hex");
      const knownHash = known.get(id);
      known.set(id, knownHash ?? hash);
      if (knownHash !== undefined && knownHash !== hash) refused.push(contradiction(block));
      return knownHash === undefined;
    });
  }
}

function contradiction({ message, emitterId, receivedBy, epoch, number }: AdmittedBlock): RefusedMessage {
  const reason = `Another block is on record as number ${number} of epoch ${epoch}`;
  return { kind: "refused", code: "BLOCK_CONTRADICTED", reason, receivedFrom: emitterId, receivedBy, message };
}
