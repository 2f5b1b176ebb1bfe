import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { busId, RotatingSvid, serviceId, workloadId, type SpiffeId, type SvidSource } from "@sallyport/identity";
import { Bus, createLogger } from "@sallyport/service";
import { createTestAuthority, freePort } from "@sallyport/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stateLayout } from "./layout.ts";
import { NatsProcess } from "./nats-process.ts";
import { serviceNames, type ServiceName } from "./roles.ts";
import { SupervisedProcess } from "./supervised-process.ts";

const domain = "sallyport.local";
const networkId = `test-${process.pid}`;
const log = createLogger({ name: "test", instance: "1", level: "silent" });
const authority = await createTestAuthority(domain);
const owned = new AsyncDisposableStack();
const buses = new Map<ServiceName, Bus>();
const server = await authority.source(serviceId(domain, "nats", "1"));
let url = "";
let stateDir = "";
let supervised: SupervisedProcess;

beforeAll(async () => {
  const nats = owned.use(await startNats(server, networkId));
  ({ url, stateDir, supervised } = nats);
  for (const role of serviceNames) buses.set(role, owned.use(await busAs(role, busId(domain, role))));
  await Promise.all([...buses.values()].map((connected) => connected.ready()));
  const manager = await bus("audit").jetstreamManager();
  await manager.streams.add({ name: "AUDIT", subjects: ["audit.*"] });
});

interface RunningNats extends AsyncDisposable {
  readonly url: string;
  readonly stateDir: string;
  readonly supervised: SupervisedProcess;
}

async function startNats(identity: SvidSource, id: string): Promise<RunningNats> {
  await using resources = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), "sallyport-bus-"));
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  const layout = stateLayout(dir);
  await Promise.all([layout.natsStoreDir, layout.logDir].map((path) => mkdir(path, { recursive: true })));
  const port = await freePort();
  const nats = resources.use(
    await NatsProcess.open({
      layout,
      networkId: id,
      trustDomain: domain,
      port,
      identity,
      path: process.env["PATH"] ?? "",
    }),
  );
  const lastWords = (): Promise<string> => readFile(join(layout.logDir, "nats.log"), "utf8");
  const running = resources.use(new SupervisedProcess({ name: "nats", launch: () => nats.launch(), lastWords }));
  await running.ready;
  const kept = resources.move();
  return {
    url: `tls://127.0.0.1:${port}`,
    stateDir: dir,
    supervised: running,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

afterAll(() => owned.disposeAsync());

async function busAs(role: string, id: SpiffeId): Promise<Bus> {
  return new Bus({ url, identity: await authority.source(id), role, log });
}

function bus(role: ServiceName): Bus {
  const found = buses.get(role);
  if (found === undefined) throw new Error(`no bus for ${role}`);
  return found;
}

/** Whether the server lets the role subscribe. */
async function maySubscribe(role: ServiceName, subject: string): Promise<boolean> {
  const connection = bus(role).connection;
  const refused = Promise.withResolvers<boolean>();
  const subscription = connection.subscribe(subject, {
    callback: (error) => {
      if (error !== null) refused.resolve(false);
    },
  });
  // The server answers in order: the refusal comes before the answer to the flush.
  const allowed = connection.flush().then(() => new Promise<boolean>((resolve) => setImmediate(() => resolve(true))));
  try {
    return await Promise.race([refused.promise, allowed]);
  } finally {
    subscription.unsubscribe();
  }
}

/** Whether a request by the role is answered. The server drops what it refuses, and tells the connection. */
async function mayRequest(role: ServiceName, subject: string, payload: unknown = {}): Promise<boolean> {
  try {
    await bus(role).connection.request(subject, JSON.stringify(payload), { timeout: 1_000 });
    return true;
  } catch (error) {
    if (error instanceof Error && /permission|timeout/i.test(`${error.name} ${error.message} ${String(error.cause)}`))
      return false;
    throw error;
  }
}

describe("a role's own work", () => {
  test("the owner of a bucket writes it with compare-and-set, and a reader watches it", async () => {
    const owner = await bus("policy").kv("policy", { create: { history: 1 } });
    const reader = await bus("router").kv("policy");
    const watch = await reader.watch();
    const revision = await owner.create("head", "one");
    await owner.update("head", "two", revision);
    await expect(owner.update("head", "three", revision)).rejects.toThrow(/sequence/);
    const seen: string[] = [];
    for await (const entry of watch) {
      seen.push(entry.string());
      if (seen.at(-1) === "two") break;
    }
    expect(seen.at(-1)).toBe("two");
    expect((await reader.get("head"))?.string()).toBe("two");
  });

  test("each role owns its buckets", async () => {
    for (const [role, bucket] of [
      ["policy", "policy-source"],
      ["enrollment", "enrollment"],
      ["router", "routers"],
    ] as const) {
      const kv = await bus(role).kv(bucket, { create: { history: 1, ttl: role === "router" ? 30_000 : 0 } });
      await kv.put("key", "value");
      expect((await kv.get("key"))?.string()).toBe("value");
      await kv.delete("key");
    }
  });

  test("every role publishes audit blocks under its own name, and audit consumes them", async () => {
    for (const role of serviceNames)
      await bus(role)
        .jetstream()
        .publish(`audit.${role}`, role, { msgID: `own-${role}` });
    const manager = await bus("audit").jetstreamManager();
    await manager.consumers.add("AUDIT", { durable_name: "test", ack_policy: "explicit" });
    const consumer = await bus("audit").jetstream().consumers.get("AUDIT", "test");
    const seen = new Set<string>();
    for await (const message of await consumer.fetch({ max_messages: serviceNames.length, expires: 2_000 })) {
      seen.add(message.subject);
      message.ack();
      if (seen.size === serviceNames.length) break;
    }
    expect(seen).toEqual(new Set(serviceNames.map((role) => `audit.${role}`)));
  });
});

describe("what the bus refuses", () => {
  test("no role publishes audit blocks under another's name", async () => {
    const allowed: string[] = [];
    await Promise.all(
      serviceNames.flatMap((role) =>
        serviceNames
          .filter((other) => other !== role)
          .map(async (other) => {
            if (await mayRequest(role, `audit.${other}`, "forged")) allowed.push(`${role} as ${other}`);
          }),
      ),
    );
    expect(allowed).toEqual([]);
  });

  test("only audit reads the record, and not even audit changes it", async () => {
    for (const role of ["router", "policy", "enrollment", "ca"] as const) {
      expect(await maySubscribe(role, "audit.>")).toBe(false);
      expect(await mayRequest(role, "$JS.API.STREAM.MSG.GET.AUDIT", { seq: 1 })).toBe(false);
      expect(await mayRequest(role, "$JS.API.CONSUMER.CREATE.AUDIT", { stream_name: "AUDIT", config: {} })).toBe(false);
    }
    for (const api of ["STREAM.PURGE.AUDIT", "STREAM.MSG.DELETE.AUDIT", "STREAM.DELETE.AUDIT"]) {
      expect(await mayRequest("audit", `$JS.API.${api}`, { seq: 1 })).toBe(false);
    }
  });

  test("a router reads neither tokens nor the policy document, and writes no policy", async () => {
    expect(await mayRequest("router", "$JS.API.DIRECT.GET.KV_enrollment.$KV.enrollment.key")).toBe(false);
    expect(
      await mayRequest("router", "$JS.API.CONSUMER.CREATE.KV_policy-source", {
        stream_name: "KV_policy-source",
        config: {},
      }),
    ).toBe(false);
    expect(await mayRequest("router", "$KV.policy.head", "forged")).toBe(false);
    expect(await mayRequest("enrollment", "$KV.policy.denylist", "forged")).toBe(false);
    expect(await maySubscribe("router", "$KV.>")).toBe(false);
  });

  test("no role listens to another's replies", async () => {
    for (const role of serviceNames) {
      for (const other of serviceNames)
        expect(await maySubscribe(role, `_INBOX_${other}.>`), `${role} on ${other}`).toBe(role === other);
    }
  });

  test("strangers do not get in: another CA, no bus identity, a workload, a service's own SVID", async () => {
    const rogue = await createTestAuthority(domain);
    const strangers: readonly (readonly [string, SvidSource])[] = [
      ["another CA", new RotatingSvid(await rogue.issue(busId(domain, "router")), authority.bundle)],
      ["an unknown role", await authority.source(busId(domain, "unknown"))],
      ["a workload", await authority.source(workloadId(domain, "agent", "1"))],
      ["a service's own SVID", await authority.source(serviceId(domain, "policy", "1"))],
    ];
    for (const [name, identity] of strangers) {
      await using stranger = new Bus({ url, identity, role: "router", log });
      await expect(stranger.ready(AbortSignal.timeout(700)), name).rejects.toThrow();
    }
  });

  test("a client does not talk to a server that is not the bus", async () => {
    await using impostor = await startNats(
      await authority.source(serviceId(domain, "policy", "1")),
      `impostor-${process.pid}`,
    );
    await using client = new Bus({
      url: impostor.url,
      identity: await authority.source(busId(domain, "router")),
      role: "router",
      log,
    });
    await expect(client.ready(AbortSignal.timeout(700))).rejects.toThrow();
  });
});

test("the bus says which group it negotiated", () => {
  // Debian's 2.9.10 knows no hybrid group, a current server does.
  expect(["X25519", "X25519MLKEM768"]).toContain(bus("router").tlsGroup);
});

describe("the server's key", () => {
  const folder = (): string => join("/dev/shm", `sallyport-${networkId}`);

  test("is in no file once the server is ready", async () => {
    expect(readdirSync(folder()).sort()).toEqual(["certificate.pem", "roots.pem"]);
    expect(existsSync(join(stateDir, "nats", "run"))).toBe(false);
  });

  test("is renewed without a restart: the connections stay, new ones see the new certificate", async () => {
    const { pid } = supervised;
    const before = server.current().serial;
    server.rotate(await authority.issue(serviceId(domain, "nats", "1")), authority.bundle);
    expect(server.current().serial).not.toBe(before);
    const serial = await waitFor(async () => {
      const seen = await serverSerial();
      return seen === server.current().serial ? seen : undefined;
    });
    expect(serial).toBe(server.current().serial);
    expect(supervised.pid).toBe(pid);
    expect(bus("router").connected).toBe(true);
    await waitFor(async () => (existsSync(join(folder(), "private-key.pem")) ? undefined : true));
  });

  test("a rotated client comes again with its new certificate, and goes on", async () => {
    const source = await authority.source(busId(domain, "ca"));
    await using client = new Bus({ url, identity: source, role: "ca", log });
    const connection = await client.ready();
    const before = connection.info?.client_id;
    source.rotate(await authority.issue(busId(domain, "ca")), authority.bundle);
    await waitFor(async () => (connection.info?.client_id === before ? undefined : true));
    await client.jetstream().publish("audit.ca", "after rotation");
  });

  test("requests under way and requests that come never notice a rotation", async () => {
    const source = await authority.source(busId(domain, "enrollment"));
    await using client = new Bus({ url, identity: source, role: "enrollment", log });
    const kv = await client.kv("enrollment");
    let rotating = true;
    let answered = 0;
    const asking = Array.from({ length: 8 }, async (_, index) => {
      for (let count = 0; rotating; count++) {
        await kv.put(`asked.${index}`, String(count));
        answered += 1;
      }
    });
    const connection = await client.ready();
    for (let rotation = 0; rotation < 5; rotation++) {
      const before = connection.info?.client_id;
      source.rotate(await authority.issue(busId(domain, "enrollment")), authority.bundle);
      await waitFor(async () => (client.connected && connection.info?.client_id !== before ? true : undefined));
      const soFar = answered;
      await waitFor(async () => (answered > soFar + 20 ? true : undefined));
    }
    rotating = false;
    await Promise.all(asking);
  });
});

/** The serial of the certificate that the server shows to a new client. */
async function serverSerial(): Promise<string> {
  const { connect } = await import("node:net");
  const { connect: connectTls } = await import("node:tls");
  const { port } = new URL(url);
  const plain = connect(Number(port), "127.0.0.1");
  await once(plain, "data");
  const socket = connectTls({ socket: plain, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber.toLowerCase();
}

async function waitFor<T>(probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error("it did not happen within 5 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
