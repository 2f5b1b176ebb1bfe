import { AuditLogError, verifyBlock } from "@sallyport/audit-log";
import type { Identity, TrustBundle } from "@sallyport/identity";
import { type Event, type SignedBlock, StampedBlock } from "@sallyport/proto/audit";
import { AuditError } from "../errors.ts";

/** A message as the bus had it. */
export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly streamSequence: number;
  /** When JetStream took it. */
  readonly storedAt: Date;
}

/** A block that is what it says, of the one who handed it over. */
export interface AdmittedBlock {
  readonly kind: "admitted";
  readonly emitterId: string;
  readonly epoch: string;
  readonly number: number;
  readonly previous: Buffer;
  readonly events: readonly Event[];
  readonly signed: SignedBlock;
  readonly receivedBy: string;
  readonly message: BusMessage;
}

/** A message that is set aside. */
export interface RefusedMessage {
  readonly kind: "refused";
  readonly code: string;
  readonly reason: string;
  readonly receivedFrom: string;
  readonly receivedBy: string;
  readonly message: BusMessage;
}

/**
 * Decides what a message on `audit.<role>` is. Who emitted its events is said by its signature alone; the stamp must agree, and so must the
 * subject, which the bus lets only one role publish, and the vantage of each event.
 */
export function admitBlock(message: BusMessage, bundle: TrustBundle): AdmittedBlock | RefusedMessage {
  let stamped: StampedBlock = StampedBlock.create();
  try {
    stamped = StampedBlock.decode(message.data);
    if (stamped.signedBlock === undefined) throw new AuditError("BLOCK_MISATTRIBUTED", "The message holds no block");
    return admitStamped(stamped, stamped.signedBlock, message, bundle);
  } catch (error) {
    const { receivedFrom, receivedBy } = stamped;
    const code = error instanceof AuditLogError || error instanceof AuditError ? error.code : "BLOCK_MALFORMED";
    return {
      kind: "refused",
      code,
      reason: error instanceof Error ? error.message : String(error),
      receivedFrom,
      receivedBy,
      message,
    };
  }
}

function admitStamped(
  stamped: StampedBlock,
  signed: SignedBlock,
  message: BusMessage,
  bundle: TrustBundle,
): AdmittedBlock {
  const { block, events, signer } = verifyBlock(signed, bundle, message.storedAt);
  const emitterId = signer.identity.id.uri;
  if (stamped.receivedFrom !== emitterId) {
    throw new AuditError(
      "BLOCK_MISATTRIBUTED",
      `The block is signed by ${emitterId} and was handed over by ${JSON.stringify(stamped.receivedFrom.slice(0, 256))}`,
    );
  }
  if (!mayArriveOn(message.subject, signer.identity)) {
    throw new AuditError("BLOCK_MISATTRIBUTED", `A block of ${emitterId} does not belong on ${message.subject}`);
  }
  const foreign = events.find(({ vantage }) => !isViewOf(vantage, signer.identity));
  if (foreign !== undefined) {
    const claimed = JSON.stringify(foreign.vantage.slice(0, 64));
    throw new AuditError("BLOCK_MISATTRIBUTED", `An event of ${emitterId} gives itself for the view of ${claimed}`);
  }
  const { epoch, number, previous } = block;
  return {
    kind: "admitted",
    emitterId,
    epoch,
    number,
    previous,
    events,
    signed,
    receivedBy: stamped.receivedBy,
    message,
  };
}

/** Whose view an event is, people read and search by: a workload must not speak as the router, or as one of our services. */
function isViewOf(vantage: string, signer: Identity): boolean {
  switch (signer.kind) {
    case "workload":
      return vantage === "dialer" || vantage === "host";
    case "router":
      return vantage === "router";
    case "service":
      return vantage === signer.name;
    case "admin":
    case "bus":
      return false;
  }
}

/** Workloads reach the bus through routers only; every other role publishes its own blocks. */
function mayArriveOn(subject: string, signer: Identity): boolean {
  switch (signer.kind) {
    case "workload":
    case "router":
      return subject === "audit.router";
    case "service":
      return subject === `audit.${signer.name}` && subject !== "audit.router";
    case "admin":
    case "bus":
      return false;
  }
}
