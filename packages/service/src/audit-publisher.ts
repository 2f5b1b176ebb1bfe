import { join } from "node:path";
import { AuditEmitter, blockId } from "@sallyport/audit-log";
import type { SvidSource } from "@sallyport/identity";
import { Block, StampedBlock, type SignedBlock } from "@sallyport/proto/audit";
import { retry } from "./backoff.ts";
import type { Bus } from "./bus.ts";
import type { Logger } from "./logger.ts";
import type { ServiceName } from "./runtime.ts";

const STREAM_ABSENT = { firstMs: 100, maxMs: 1_000 };

/** The emitter of this process: its blocks go to `audit.<role>`, stamped with its own SPIFFE ID, and stay in the spool until JetStream has them. */
export function openAuditEmitter(options: {
  readonly role: ServiceName;
  readonly stateDir: string;
  readonly identity: SvidSource;
  readonly bus: Bus;
  readonly log: Logger;
}): Promise<AuditEmitter> {
  const { role, stateDir, identity, bus, log } = options;
  return AuditEmitter.open({
    spoolDir: join(stateDir, "audit-spool"),
    vantage: role,
    identity,
    publish: (block, signal) =>
      publishBlock(block, signal, { role, emitterId: identity.current().identity.id.uri, bus }),
    onTrouble: (error: unknown) => log.warn({ err: error }, "audit"),
  });
}

async function publishBlock(
  signedBlock: SignedBlock,
  signal: AbortSignal,
  { role, emitterId, bus }: { readonly role: string; readonly emitterId: string; readonly bus: Bus },
): Promise<"stored"> {
  const { epoch, number } = Block.decode(signedBlock.block);
  const stamped = StampedBlock.encode({
    signedBlock,
    receivedFrom: emitterId,
    receivedBy: emitterId,
    receivedAtUnixMs: Date.now(),
  });
  await bus.ready(signal);
  const bytes = stamped.finish();
  const publish = (): Promise<unknown> =>
    bus.jetstream().publish(`audit.${role}`, bytes, { msgID: blockId(emitterId, epoch, number) });
  await retry(publish, { ...STREAM_ABSENT, signal, onFailure: waitForStream });
  return "stored";
}

/** The stream is `audit`'s to make, and may come after the first events: that is no trouble yet. The client names its absence thus. */
function waitForStream(error: unknown): void {
  if (!(error instanceof Error && error.name === "JetStreamNotEnabled")) throw error;
}
