/** What one caller may take of a gRPC server. */
import { adminId, serviceId } from "@sallyport/identity";
import { AuditServiceService, Event, type GetStatusResponse } from "@sallyport/proto/audit";
import { createTestAuthority } from "@sallyport/testing";
import { expect, test } from "vitest";
import { retry } from "./backoff.ts";
import { callStream, callUnary, grpcChannel, type GrpcChannel } from "./grpc-channel.ts";
import { GrpcServer, type GrpcServerOptions } from "./grpc-server.ts";
import { createLogger } from "./logger.ts";

const authority = await createTestAuthority();
const serverId = serviceId(authority.trustDomain, "audit", "1");
const serverIdentity = await authority.source(serverId);
const admin = await authority.source(adminId(authority.trustDomain, "local"));

async function start(
  options: Partial<GrpcServerOptions>,
  tail: () => AsyncGenerator<Event>,
): Promise<AsyncDisposable & { readonly channel: () => GrpcChannel }> {
  const log = createLogger({ name: "audit", instance: "1", level: "silent" });
  const server = new GrpcServer({
    identity: serverIdentity,
    listen: { host: "127.0.0.1", port: 0 },
    log,
    ...options,
  });
  const status: GetStatusResponse = { events: 7, blocks: 1, pending: 0, quarantined: 0, engineVersion: "" };
  const implementation = { search: async () => ({ events: [] }), getStatus: async () => status, tail };
  server.add(AuditServiceService, implementation, { search: "admin", getStatus: "admin", tail: "admin" });
  const address = `127.0.0.1:${await server.listen()}`;
  return {
    channel: () => grpcChannel({ address, identity: admin, expect: ({ id }) => id.uri === serverId.uri }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function* nothing(): AsyncGenerator<Event> {}

test("stalledReaderMs: a caller that reads nothing of its stream holds the handler only so long", async () => {
  const over = Promise.withResolvers<void>();
  async function* withoutEnd(): AsyncGenerator<Event> {
    try {
      for (;;) yield Event.fromPartial({ eventId: "x".repeat(100_000) });
    } finally {
      over.resolve();
    }
  }
  await using server = await start({ stalledReaderMs: 100 }, withoutEnd);
  using channel = server.channel();
  const events = callStream(channel, AuditServiceService.tail, { filter: undefined });
  expect(await events.next()).toMatchObject({ done: false });
  await over.promise;
  const readAll = async (): Promise<void> => {
    for await (const _event of events);
  };
  await expect(readAll()).rejects.toMatchObject({ code: "READER_STALLED" });
});

test("maxConnections: one more is closed unread, and has its turn when one ends", async () => {
  await using server = await start({ maxConnections: 1 }, nothing);
  const [first, second] = [server.channel(), server.channel()];
  await callUnary(first, AuditServiceService.getStatus, {});
  const attempt = (): Promise<GetStatusResponse> => callUnary(second, AuditServiceService.getStatus, {});
  await expect(attempt()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  first[Symbol.dispose]();
  const pauses = { firstMs: 20, maxMs: 200, signal: AbortSignal.timeout(10_000) };
  expect(await retry(attempt, pauses)).toMatchObject({ events: 7 });
  second[Symbol.dispose]();
});
