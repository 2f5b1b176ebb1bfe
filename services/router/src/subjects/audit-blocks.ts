import type { SpiffeId } from "@sallyport/identity";
import { StampedBlock, type SignedBlock } from "@sallyport/proto/audit";
import type { Bus } from "@sallyport/service";
import { RouterError } from "../errors.ts";

export interface BlockPosition {
  readonly epoch: string;
  readonly number: number;
}

/** Puts a workload's block on `audit.router`. Rejects with RouterError when JetStream has not got it. */
export type PublishBlock = (block: SignedBlock, position: BlockPosition, receivedFrom: SpiffeId) => Promise<void>;

const publishTimeoutMs = 5_000;

/**
 * The stamp says whose tunnel a block came through; whose it is, its signature says, and `audit` compares. The message id begins with the proven
 * identity, so that nobody can make another's block look like a repetition.
 */
export function auditBlocks(bus: Bus, receivedBy: SpiffeId): PublishBlock {
  return async (signedBlock, { epoch, number }, receivedFrom) => {
    const stamped: StampedBlock = {
      signedBlock,
      receivedFrom: receivedFrom.uri,
      receivedBy: receivedBy.uri,
      receivedAtUnixMs: Date.now(),
    };
    const msgID = `${receivedFrom.uri}:${epoch}:${number}`;
    try {
      await bus
        .jetstream()
        .publish("audit.router", StampedBlock.encode(stamped).finish(), { msgID, timeout: publishTimeoutMs });
    } catch (cause) {
      throw new RouterError("BUS_UNAVAILABLE", "JetStream did not take an audit block", {
        cause,
        remedy: "check nats-server and the audit service",
      });
    }
  };
}
