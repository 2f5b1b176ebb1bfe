import {
  AckPolicy,
  DiscardPolicy,
  type JetStreamManager,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";

export const STREAM = "AUDIT";
export const CONSUMER = "store";
/** A message that was not acknowledged or renewed comes again after this time. */
export const ACK_WAIT_MS = 10_000;
/** Messages that this process may hold at once. */
export const MAX_ACK_PENDING = 512;

const NANOSECONDS_PER_MS = 1_000_000;
/** What the bus keeps while this service is away. When it is full it refuses, and emitters keep their blocks in their spools. */
const MAX_BYTES = 1_073_741_824;
const MAX_MESSAGE_BYTES = 2_097_152;
const DUPLICATE_WINDOW_MS = 120_000;

const streamConfig = {
  subjects: ["audit.*"],
  storage: StorageType.File,
  // A stored block leaves the bus, a block that nobody stored never does: neither by age nor to make room.
  retention: RetentionPolicy.Workqueue,
  discard: DiscardPolicy.New,
  max_bytes: MAX_BYTES,
  max_msg_size: MAX_MESSAGE_BYTES,
  duplicate_window: DUPLICATE_WINDOW_MS * NANOSECONDS_PER_MS,
};

/** Makes the stream of audit blocks and its one consumer, or brings them up to date. */
export async function ensureAuditStream(manager: JetStreamManager, ackWaitMs: number): Promise<void> {
  try {
    await manager.streams.info(STREAM);
    await manager.streams.update(STREAM, streamConfig);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.status !== 404) throw error;
    await manager.streams.add({ name: STREAM, ...streamConfig });
  }
  await manager.consumers.add(STREAM, {
    durable_name: CONSUMER,
    ack_policy: AckPolicy.Explicit,
    ack_wait: ackWaitMs * NANOSECONDS_PER_MS,
    max_ack_pending: MAX_ACK_PENDING,
    max_deliver: -1,
  });
}
