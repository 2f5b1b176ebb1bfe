import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { rootFingerprint, workloadId } from "@sallyport/identity";
import { createTestAuthority } from "@sallyport/testing";
import { afterEach, describe, expect, test } from "vitest";
import { Connector } from "../connector/connector.ts";
import { connectorWorld, type ConnectorWorld } from "../connector/connector-world.test-support.ts";
import { enroll } from "../enroll/enroll.ts";
import { enrollmentService } from "../enroll/enrollment-service.test-support.ts";
import { connectThrough } from "./connect-through.ts";
import { HttpProxy } from "./http-proxy.ts";
import { hasSquid, password, startProxyChain, startSquid, user, type RealProxy } from "./real-proxies.test-support.ts";

let world: ConnectorWorld | undefined;
const owned: AsyncDisposable[] = [];

afterEach(async () => {
  for (const owner of owned.splice(0).toReversed()) await owner[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  world = undefined;
});

function own<T extends AsyncDisposable>(resource: T): T {
  owned.push(resource);
  return resource;
}

function urlOf({ address }: RealProxy, login: readonly [string, string] | undefined): string {
  const userinfo = login === undefined ? "" : `${login.map(encodeURIComponent).join(":")}@`;
  return `http://${userinfo}${address}`;
}

describe.each([
  {
    name: "proxy-chain",
    isHere: true,
    start: startProxyChain,
    unreached: /closed the connection without an answer to CONNECT to 127\.0\.0\.1:1/,
  },
  {
    name: `squid${hasSquid ? "" : " (SKIPPED: no /usr/sbin/squid here)"}`,
    isHere: hasSquid,
    start: startSquid,
    unreached: /CONNECT to 127\.0\.0\.1:1 with status 503/,
  },
])("behind $name, which wants a login", ({ isHere, start, unreached }) => {
  test.skipIf(!isHere)("workloads meet through tunnels that it carries", async () => {
    world = await connectorWorld({ more: [{}] });
    const proxy = urlOf(own(await start()), [user, password]);
    const { log } = world;
    const open = async (name: string): Promise<Connector> =>
      own(await Connector.open({ profile: await (world as ConnectorWorld).profile(name), log, proxy }));
    const [agent, host] = [await open("agent"), await open("host")];
    await host.host("files", "tcp", (circuit) => void circuit.pipe(circuit)).ready;
    const circuit = await agent.dial("files");
    const sent = Buffer.alloc(300_000, "x");
    circuit.end(sent);
    expect((await text(circuit)).length).toBe(sent.length);
    await expect.poll(() => agent.tunnels.length, { timeout: 5_000 }).toBe(2);
  });

  test.skipIf(!isHere).each([
    ["none", undefined, "wants a login"],
    ["another one", [user, "wrong-password"] as const, "does not accept this login"],
  ])("whoever gives %s is told at once, and not what was given", async (_, login, said) => {
    world = await connectorWorld();
    const proxy = urlOf(own(await start()), login);
    const profile = await world.profile("agent");
    const opening = Connector.open({ profile, log: world.log, proxy, connectTimeoutMs: 60_000 });
    await expect(opening).rejects.toMatchObject({
      code: "PROXY_AUTH_REQUIRED",
      message: expect.stringContaining(said),
      remedy: expect.stringContaining("SALLYPORT_PROXY"),
    });
    expect(world.log.lines.join()).not.toContain("wrong-password");
    expect(world.router.tunnelsSeen).toBe(0);
  });

  test.skipIf(!isHere)("enrollment goes through it too", async () => {
    world = await connectorWorld();
    const authority = await createTestAuthority();
    const service = await enrollmentService({
      authority,
      subject: workloadId(authority.trustDomain, "agent", "a1"),
      routers: ["192.0.2.1:443"],
    });
    const port = await listening((socket) => void service.serve(socket, "none").catch(() => socket.destroy()));
    const routers = [addressOf(port)];
    const facts = { td: authority.trustDomain, root: rootFingerprint(authority.root.certificate), routers, id: "t1" };
    const token = `spt1.${Buffer.from(JSON.stringify(facts)).toString("base64url")}.c2VjcmV0`;
    const proxy = own(await start());
    const { folders } = world;
    await expect(enroll({ token, profile: "new", folders, proxy: urlOf(proxy, undefined) })).rejects.toMatchObject({
      code: "PROXY_AUTH_REQUIRED",
    });
    const enrolled = await enroll({ token, profile: "new", folders, proxy: urlOf(proxy, [user, password]) });
    expect(enrolled.svid.identity.id.uri).toContain("/workload/agent/a1");
  });

  test.skipIf(!isHere)("a target that it cannot reach is named", async () => {
    const proxy = HttpProxy.parse(urlOf(own(await start()), [user, password]), "test");
    const message = expect.stringMatching(unreached);
    await expect(connectThrough(proxy, "127.0.0.1:1", AbortSignal.timeout(10_000))).rejects.toMatchObject({ message });
  });
});

describe("a proxy that misbehaves", () => {
  test.each([
    ["answers at length", `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(2_000)}`, "8192 bytes"],
    ["answers at length, in one piece", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(9_000)}\r\n\r\n`, "8192 bytes"],
    ["speaks no HTTP", "SSH-2.0-OpenSSH_9.9\r\n\r\n", "no answer of HTTP/1"],
    ["forbids it", "HTTP/1.1 403 Forbidden\r\n\r\n", "status 403"],
    ["sends elsewhere", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "status 302"],
  ])("and %s is told so", async (_, answer, said) => {
    const server = await listening((socket) => socket.write(answer));
    const proxy = HttpProxy.parse(addressOf(server), "test");
    await expect(connectThrough(proxy, "192.0.2.1:443", AbortSignal.timeout(10_000))).rejects.toMatchObject({
      code: "PROXY_REFUSED",
      message: expect.stringContaining(said),
    });
  });

  test("and hangs up, or is not there, is told so", async () => {
    const server = await listening((socket) => socket.end());
    const there = HttpProxy.parse(addressOf(server), "test");
    const notThere = HttpProxy.parse("127.0.0.1:1", "test");
    for (const proxy of [there, notThere]) {
      await expect(connectThrough(proxy, "192.0.2.1:443", AbortSignal.timeout(10_000))).rejects.toMatchObject({
        code: "PROXY_UNREACHABLE",
      });
    }
  });

  test("and sends bytes behind its answer loses none of them", async () => {
    const server = await listening((socket) => socket.end("HTTP/1.0 200 Connection established\r\n\r\nearly bytes"));
    const proxy = HttpProxy.parse(addressOf(server), "test");
    expect(await text(await connectThrough(proxy, "192.0.2.1:443", AbortSignal.timeout(10_000)))).toBe("early bytes");
  });

  test("is not waited for by whoever gave up", async () => {
    const server = await listening(() => undefined);
    const proxy = HttpProxy.parse(addressOf(server), "test");
    const stop = new AbortController();
    const connecting = connectThrough(proxy, "192.0.2.1:443", stop.signal);
    await once(server, "connection");
    stop.abort(new Error("gave up"));
    await expect(connecting).rejects.toThrow("gave up");
  });
});

describe("a proxy's URL", () => {
  test.each([
    "https://proxy:443",
    "socks5://proxy:1080",
    "http://",
    "http://a b",
    "http://proxy/path",
    "http://%zz@proxy",
  ])("%s is refused without being repeated", (text_) => {
    const parse = (): HttpProxy => HttpProxy.parse(text_, "SALLYPORT_PROXY");
    expect(parse).toThrow(expect.objectContaining({ code: "PROXY_INVALID" }));
    expect(parse).not.toThrow(text_);
  });

  test("keeps its login out of everything but the request", () => {
    const proxy = HttpProxy.parse("http://agent:s3cret@proxy.example:3128", "test");
    expect(JSON.stringify(proxy)).not.toContain("s3cret");
    expect(String(proxy.address)).toBe("proxy.example:3128");
    expect(proxy.connectRequest("r:443")).toContain(Buffer.from("agent:s3cret").toString("base64"));
  });
});

async function listening(onSocket: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  own({
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return server;
}

function addressOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
