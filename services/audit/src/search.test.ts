import { status } from "@grpc/grpc-js";
import { adminId, routerId, serviceId, workloadId, type SpiffeId } from "@sallyport/identity";
import { AuditServiceService, type Event } from "@sallyport/proto/audit";
import { GrpcServer, createLogger, grpcChannel, serviceClient, type ServiceClient } from "@sallyport/service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getStatus } from "./rpc/get-status.ts";
import { search } from "./rpc/search.ts";
import { tail } from "./rpc/tail.ts";
import type { AuditBlocks } from "./subjects/audit-blocks.ts";
import { AuditParts, BlockMaker, filterOf } from "./testing/audit-parts.ts";

const domain = "sallyport.local";
const soon = { timeout: 20_000 };
const owned = new AsyncDisposableStack();
let parts: AuditParts;
let blocks: AuditBlocks;
let chain: BlockMaker;
let port: number;
let admin: ServiceClient<typeof AuditServiceService>;

beforeAll(async () => {
  parts = owned.use(await AuditParts.start());
  blocks = owned.use(await parts.consume());
  chain = new BlockMaker(await parts.authority.issue(workloadId(domain, "files-host", "1")));
  const server = owned.use(
    new GrpcServer({
      identity: await parts.authority.source(serviceId(domain, "audit", "1")),
      listen: { host: "127.0.0.1", port: 0 },
      log: createLogger({ name: "audit", instance: "1", level: "silent" }),
    }),
  );
  server.add(
    AuditServiceService,
    { search: search(parts.store), tail: tail(parts.feed), getStatus: getStatus(parts.store, blocks) },
    { search: "admin", tail: "admin", getStatus: "admin" },
  );
  port = await server.listen();
  admin = await clientOf(adminId(domain, "local"));
});
afterAll(() => owned.disposeAsync());

async function clientOf(id: SpiffeId): Promise<ServiceClient<typeof AuditServiceService>> {
  const expectAudit = (peer: { readonly kind: string }): boolean => peer.kind === "service";
  const channel = grpcChannel({
    address: `127.0.0.1:${port}`,
    identity: await parts.authority.source(id),
    expect: expectAudit,
  });
  return serviceClient(owned.use(channel), AuditServiceService);
}

async function record(events: readonly Partial<Event>[]): Promise<void> {
  await parts.publish(chain.next(events));
  await expect.poll(() => blocks.pending(), soon).toBe(0);
}

/** Every condition of equality but the kind, which is tried with one that exists. */
const otherFields = [
  "actorName",
  "actorId",
  "hostId",
  "service",
  "tool",
  "decision",
  "decisionId",
  "circuitId",
  "vantage",
  "outcome",
  "errorCode",
] as const;

describe("a search", () => {
  test("answers by every condition, all at once, newest first", async () => {
    const base = {
      actorName: "alice",
      service: "files",
      tool: "read",
      kind: "call.finished",
      decision: "allow",
      decisionId: "d-9",
      circuitId: "c-9",
      vantage: "host",
      actorId: "spiffe://test/workload/alice/1",
      hostId: "spiffe://test/workload/files-host/1",
      outcome: "ok",
      errorCode: "none",
    };
    const now = Date.now();
    await record([
      {
        ...base,
        timeUnixMs: now - 3,
        callId: "old",
        ruleIds: ["readers", "auditors"],
        attributes: { token: "T-4711" },
        argumentsJson: '{"path":"/Tmp/Report.TXT"}',
        resultPreview: "Größe 12",
      },
      { ...base, timeUnixMs: now - 1, callId: "new", argumentsJson: '{"path":"/tmp/report.txt"}', reason: "größe" },
      ...otherFields.map((field) => ({
        ...base,
        [field]: field === "vantage" ? "dialer" : "other",
        timeUnixMs: now - 2,
      })),
      { ...base, kind: "call.started", timeUnixMs: now - 2 },
    ]);
    const found = async (filter: Parameters<typeof filterOf>[0]): Promise<string[]> =>
      (await admin.search({ filter: filterOf({ ...base, ...filter }), limit: 0 })).events.map((event) => event.callId);
    expect(await found({})).toEqual(["new", "old"]);
    expect(await found({ text: "report.txt GRÖSSE" })).toEqual([]);
    expect(await found({ text: "REPORT.txt größe" })).toEqual(["new", "old"]);
    expect(await found({ text: "12" })).toEqual(["old"]);
    expect(await found({ text: "t-4711 report" })).toEqual(["old"]);
    expect(await found({ ruleId: "auditors" })).toEqual(["old"]);
    expect(await found({ ruleId: "auditor" })).toEqual([]);
    expect(await found({ sinceUnixMs: now - 1 })).toEqual(["new"]);
    expect(await found({ untilUnixMs: now - 3 })).toEqual(["old"]);
    expect((await admin.search({ filter: filterOf(base), limit: 1 })).events.map((event) => event.callId)).toEqual([
      "new",
    ]);
  });

  test.each([
    "' OR 1=1 --",
    "\n\nDROP TABLE audit_events",
    "{kind:String}",
    "\\",
    "\0",
    "%",
    "😀",
    "') FORMAT Null --",
    "x\ty",
  ])("takes %j for a value, in every condition", async (hostile) => {
    await record([
      {
        actorName: hostile,
        service: hostile,
        reason: `before ${hostile} after`,
        decisionId: hostile,
        ruleIds: [hostile],
        outcome: hostile,
      },
    ]);
    const { events } = await admin.search({
      filter: filterOf({
        actorName: hostile,
        service: hostile,
        decisionId: hostile,
        ruleId: hostile,
        outcome: hostile,
      }),
      limit: 0,
    });
    expect(events.map((event) => event.actorName)).toEqual([hostile]);
    const byText = await admin.search({ filter: filterOf({ text: hostile, actorName: hostile }), limit: 0 });
    expect(byText.events).toHaveLength(1);
  });

  test.each([
    ["filter.text", { filter: filterOf({ text: "a ".repeat(17) }), limit: 0 }],
    ["filter.rule_id", { filter: filterOf({ ruleId: "x".repeat(1_025) }), limit: 0 }],
    ["filter.service", { filter: filterOf({ service: "x".repeat(1_025) }), limit: 0 }],
    ["filter.until_unix_ms", { filter: filterOf({ sinceUnixMs: 2, untilUnixMs: 1 }), limit: 0 }],
    ["limit", { filter: undefined, limit: 1_001 }],
  ])("that cannot be is refused by the name of its field: %s", async (field, request) => {
    await expect(admin.search(request)).rejects.toMatchObject({
      code: "FILTER_INVALID",
      status: status.INVALID_ARGUMENT,
      field,
    });
  });

  test("is answered while blocks pour in", async () => {
    let searches = 0;
    const pouring = (async () => {
      for (let count = 0; count < 60 || searches <= 3; count += 1)
        await parts.publish(chain.next(Array.from({ length: 200 }, () => ({ actorName: "pouring" }))));
    })();
    const done = pouring.then(() => "done");
    while (
      (await Promise.race([done, admin.search({ filter: filterOf({ kind: "tunnel.opened" }), limit: 100 })])) !== "done"
    )
      searches += 1;
    expect(searches).toBeGreaterThan(3);
    await expect.poll(() => blocks.pending(), soon).toBe(0);
    expect((await admin.search({ filter: filterOf({ actorName: "pouring" }), limit: 1_000 })).events).toHaveLength(
      1_000,
    );
  });
});

describe("a tail", () => {
  test("gives what matches from now on, once it is durable, in the order of the block", async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    const following = (async () => {
      for await (const event of admin.tail(
        { filter: filterOf({ actorName: "tailed", text: "Yes" }) },
        { signal: stop.signal },
      )) {
        seen.push(event.callId);
        if (event.callId === "last") return;
      }
    })();
    await expect
      .poll(async () => {
        await record([{ actorName: "tailed", reason: "yes", callId: "first" }]);
        return seen.length;
      }, soon)
      .toBeGreaterThan(0);
    const before = seen.length;
    await record([
      { actorName: "tailed", reason: "no", callId: "hidden" },
      { actorName: "other", reason: "yes", callId: "hidden" },
      { actorName: "tailed", argumentsJson: '"yes"', callId: "2" },
      { actorName: "tailed", resultPreview: "YES", callId: "last" },
    ]);
    await following;
    expect(seen.slice(before)).toEqual(["2", "last"]);
    stop.abort();
  });
});

describe("the record", () => {
  test("counts what it holds", async () => {
    const before = await admin.getStatus({});
    await record([{}, {}]);
    const after = await admin.getStatus({});
    expect(after).toEqual({ ...before, events: before.events + 2, blocks: before.blocks + 1, pending: 0 });
    expect(after.engineVersion).toMatch(/^\d+\.\d+/);
  });

  test.each([workloadId(domain, "alice", "1"), routerId(domain, "r1"), serviceId(domain, "policy", "1")])(
    "is closed to $uri",
    async (id) => {
      const client = await clientOf(id);
      const refusal = { code: "CALLER_NOT_ALLOWED", status: status.PERMISSION_DENIED };
      await expect(client.search({ filter: undefined, limit: 0 })).rejects.toMatchObject(refusal);
      await expect(client.getStatus({})).rejects.toMatchObject(refusal);
      await expect(client.tail({ filter: undefined })[Symbol.asyncIterator]().next()).rejects.toMatchObject(refusal);
    },
  );
});
