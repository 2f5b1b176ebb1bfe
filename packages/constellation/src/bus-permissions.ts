/**
 * What each role may do on the bus, as NATS subjects. Whatever is not named here is refused by the server.
 *
 * 1. A role publishes audit blocks under its own name only, and nobody but `audit` reads them.
 * 2. A bucket has one owner, who writes it; others read it where they are named.
 * 3. Replies come to an inbox that carries the role's name; nobody reads another role's.
 *
 * A role that may read a bucket can have JetStream deliver the bucket's messages to any subject (push consumers carry their delivery subject).
 * So nothing on the bus is believed for its subject: envelopes and audit blocks are signed by their author.
 */
import type { ServiceName } from "./roles.ts";

export interface BusPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

interface RoleAccess {
  readonly owns: readonly string[];
  readonly reads: readonly string[];
}

const access: Readonly<Record<ServiceName, RoleAccess>> = {
  ca: { owns: [], reads: [] },
  enrollment: { owns: ["enrollment"], reads: ["policy"] },
  policy: { owns: ["policy", "policy-source"], reads: [] },
  router: { owns: ["routers"], reads: ["policy"] },
  audit: { owns: [], reads: [] },
};

export function busPermissions(role: ServiceName): BusPermissions {
  const { owns, reads } = access[role];
  return {
    publish: [
      "$JS.API.INFO",
      `audit.${role}`,
      ...owns.flatMap(ownBucket),
      ...[...owns, ...reads].flatMap(readBucket),
      ...(role === "audit" ? consumeStream("AUDIT") : []),
    ],
    subscribe: [`_INBOX_${role}.>`],
  };
}

function ownBucket(bucket: string): readonly string[] {
  const stream = `KV_${bucket}`;
  return [
    `$KV.${bucket}.>`,
    `$JS.API.STREAM.CREATE.${stream}`,
    `$JS.API.STREAM.UPDATE.${stream}`,
    `$JS.API.STREAM.PURGE.${stream}`,
  ];
}

function readBucket(bucket: string): readonly string[] {
  const stream = `KV_${bucket}`;
  return [
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}.>`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
    `$JS.ACK.${stream}.>`,
    `$JS.FC.${stream}.>`,
  ];
}

/** Create and consume, but neither delete messages nor purge: the record is not the store's to change. */
function consumeStream(stream: string): readonly string[] {
  return [
    `$JS.API.STREAM.CREATE.${stream}`,
    `$JS.API.STREAM.UPDATE.${stream}`,
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.CONSUMER.LIST.${stream}`,
    `$JS.API.CONSUMER.NAMES.${stream}`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
    `$JS.ACK.${stream}.>`,
    `$JS.FC.${stream}.>`,
  ];
}
