/**
 * Built-in stream `sallyport.audit`: a workload's signed blocks go to JetStream, stamped with the identity of the tunnel that they came through.
 * One block at a time: the acknowledgement of the last one is what lets the workload send the next.
 */
import type { Peer } from "@sallyport/mtls";
import { Block } from "@sallyport/proto/audit";
import { AuditAck, AuditPublish } from "@sallyport/proto/tunnel";
import { readMessage, writeMessage } from "@sallyport/tunnel";
import type { Duplex } from "node:stream";
import type { BlockPosition, PublishBlock } from "../subjects/audit-blocks.ts";

const epochPattern = /^[0-9a-f]{32}$/;

/** Below NATS's own limit of 1 MiB per message, with room for the stamp. */
const maxBlockBytes = 1_000_000;

/** Serves one stream until its end. Rejects when it breaks. */
export async function serveAudit(stream: Duplex, peer: Peer, publish: PublishBlock): Promise<void> {
  for (;;) {
    const message = await readMessage(stream, AuditPublish);
    if (message === null) break;
    await writeMessage(stream, AuditAck, await forward(message, peer, publish));
  }
  stream.end();
}

async function forward({ block }: AuditPublish, peer: Peer, publish: PublishBlock): Promise<AuditAck> {
  const position = block === undefined ? null : positionOf(block.block);
  if (block === undefined || position === null) return { epoch: "", number: 0, errorCode: "BLOCK_INVALID" };
  if (block.block.length > maxBlockBytes) return { ...position, errorCode: "BLOCK_INVALID" };
  try {
    await publish(block, position, peer.identity.id);
    return { ...position, errorCode: "" };
  } catch {
    // Why is in the log of whoever publishes; the workload keeps the block and comes again.
    return { ...position, errorCode: "BUS_UNAVAILABLE" };
  }
}

/** Only what names the block. Whether it is whole and whose it is, `audit` verifies: a block that is not is evidence too, and is set aside there. */
function positionOf(bytes: Uint8Array): BlockPosition | null {
  try {
    const { epoch, number } = Block.decode(bytes);
    return epochPattern.test(epoch) && number > 0 ? { epoch, number } : null;
  } catch {
    return null;
  }
}
