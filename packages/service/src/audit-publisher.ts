import { join } from "node:path";
import { AuditEmitter, blockId } from "@sallyport/audit-log";
import type { SvidSource } from "@sallyport/identity";
import { Block, StampedBlock, type SignedBlock } from "@sallyport/proto/audit";
import type { Bus } from "./bus.ts";
import type { Logger } from "./logger.ts";
import type { ServiceName } from "./runtime.ts";

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
    publish: (block, signal) => publishBlock(block, signal, { role, emitterId: identity.current().identity.id.uri, bus }),
    onTrouble: (error: unknown) => log.warn({ err: error }, "audit"),
  });
}

async function publishBlock(
  signedBlock: SignedBlock,
  signal: AbortSignal,
  { role, emitterId, bus }: { readonly role: string; readonly emitterId: string; readonly bus: Bus },
): Promise<"stored"> {
  const { epoch, number } = Block.decode(signedBlock.block);
  const stamped = StampedBlock.encode({ signedBlock, receivedFrom: emitterId, receivedBy: emitterId, receivedAtUnixMs: Date.now() });
  await bus.ready(signal);
  await bus.jetstream().publish(`audit.${role}`, stamped.finish(), { msgID: blockId(emitterId, epoch, number) });
  return "stored";
}
