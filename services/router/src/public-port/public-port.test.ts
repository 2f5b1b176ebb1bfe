import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import { RouterNetwork } from "../testing/router-network.ts";

/** The other deadline is far away, so that a busy machine cannot take one for the other. */
const quickFirstByte = { firstByteMs: 80, handshakeMs: 20_000 };
const quickHandshake = { firstByteMs: 20_000, handshakeMs: 250 };

async function closed(socket: Socket): Promise<void> {
  socket.on("error", () => undefined);
  socket.resume();
  if (!socket.closed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

async function open(network: RouterNetwork): Promise<Socket> {
  const socket = connect(network.router.address);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

async function clientHello(alpn: readonly string[]): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connectTls({ host: "127.0.0.1", port: portOf(server.address()), ALPNProtocols: [...alpn] });
  client.on("error", () => undefined);
  const [socket]: Socket[] = await accepted;
  const [bytes]: Buffer[] = socket === undefined ? [] : await once(socket, "data");
  socket?.destroy();
  client.destroy();
  server.close();
  return bytes ?? Buffer.alloc(0);
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error("not in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("a peer that says nothing is closed after the first-byte limit", async () => {
  await using network = await RouterNetwork.start({ limits: quickFirstByte });
  await closed(await open(network));
  expect(network.recorded("tunnel.refused")[0]).toMatchObject({ reason: "no first byte in time" });
});

test("a peer that sends its ClientHello byte by byte is closed at the handshake limit", async () => {
  await using network = await RouterNetwork.start({ limits: quickHandshake });
  const hello = await clientHello(["sallyport/1"]);
  const socket = await open(network);
  let at = 0;
  const drip = setInterval(() => socket.write(hello.subarray(at, ++at)), 5);
  await closed(socket);
  clearInterval(drip);
  expect(network.recorded("tunnel.refused")[0]).toMatchObject({ reason: "no ClientHello in time" });
});

test("a peer that stops after its ClientHello is closed at the handshake limit", async () => {
  await using network = await RouterNetwork.start({ limits: quickHandshake });
  const socket = await open(network);
  socket.write(await clientHello(["sallyport/1"]));
  await closed(socket);
  expect(network.recorded("tunnel.refused")).toHaveLength(1);
});

test("a ClientHello beyond 16 KiB is closed before its bytes are taken", async () => {
  await using network = await RouterNetwork.start();
  const socket = await open(network);
  socket.write(Buffer.from([22, 3, 1, 0x40, 0x00, 1, 0x02, 0x00, 0x00]));
  await closed(socket);
  expect(network.recorded("tunnel.refused")[0]).toMatchObject({ reason: "ClientHello too long" });
});

test("HTTP, and TLS that offers no protocol of ours, get no answer", async () => {
  await using network = await RouterNetwork.start();
  for (const bytes of [Buffer.from("GET / HTTP/1.1\r\n\r\n"), await clientHello(["h2"]), await clientHello([])]) {
    const socket = await open(network);
    let answered = 0;
    socket.on("data", (chunk: Buffer) => (answered += chunk.length));
    socket.write(bytes);
    await closed(socket);
    expect(answered).toBe(0);
  }
});

test("one source cannot hold more unproven connections than its share, and its workloads still get in afterwards", async () => {
  const sources = {
    maxUnproven: 10,
    maxUnprovenPerSource: 3,
    connectionsPerSecondPerSource: 1_000,
    connectionBurstPerSource: 1_000,
    maxSources: 10,
  };
  await using network = await RouterNetwork.start({ limits: { firstByteMs: 20_000, ...sources } });
  const idle = await Promise.all(Array.from({ length: 3 }, () => open(network)));
  await closed(await open(network));
  expect(network.recorded("tunnel.refused")).toMatchObject([{ reason: "source-concurrency" }]);
  for (const socket of idle) socket.destroy();
  await until(() => network.recorded("tunnel.refused").length === 4);
  await network.connect("agent");
});

test("refusals of unproven peers do not flood the record: the rest is counted", async () => {
  await using network = await RouterNetwork.start({ limits: { recordedRefusalsPerSecond: 3 } });
  for (let i = 0; i < 8; i += 1) {
    const socket = await open(network);
    socket.write("x");
    await closed(socket);
  }
  expect(network.recorded("tunnel.refused")).toHaveLength(3);
});

test("an enrolling client's bytes reach enrollment as they were sent, ClientHello included, and the answer comes back", async () => {
  const hello = await clientHello(["sallyport-enroll/1"]);
  const enrollment = createServer((socket) => socket.once("data", (chunk: Buffer) => socket.end(chunk)));
  enrollment.listen(0, "127.0.0.1");
  await once(enrollment, "listening");
  await using network = await RouterNetwork.start({
    enrollAddress: { host: "127.0.0.1", port: portOf(enrollment.address()) },
  });
  const socket = await open(network);
  socket.write(hello);
  const echoed: Buffer[] = [];
  for await (const chunk of socket) echoed.push(chunk);
  expect(Buffer.concat(echoed).equals(hello)).toBe(true);
  enrollment.close();
});

test("an enrollment that sends more than its bound, or stays longer, is cut", async () => {
  const hello = await clientHello(["sallyport-enroll/1"]);
  const enrollment = createServer((socket) => socket.on("error", () => undefined).resume());
  enrollment.listen(0, "127.0.0.1");
  await once(enrollment, "listening");
  const enrollAddress = { host: "127.0.0.1", port: portOf(enrollment.address()) };
  await using strict = await RouterNetwork.start({ enrollAddress, limits: { maxPassthroughBytes: 8_192 } });
  const chatty = await open(strict);
  chatty.write(hello);
  chatty.write(Buffer.alloc(16_384));
  await closed(chatty);
  await using hasty = await RouterNetwork.start({ enrollAddress, limits: { passthroughMs: 100 } });
  const lingering = await open(hasty);
  lingering.write(hello);
  await closed(lingering);
  enrollment.close();
});

test("maxPassthroughsPerSource: one address has only its share of the enrollments, and its next one gets in when one ends", async () => {
  const hello = await clientHello(["sallyport-enroll/1"]);
  const upstreams: Socket[] = [];
  const enrollment = createServer((socket) => {
    upstreams.push(socket);
    socket.on("error", () => undefined).on("data", () => socket.write("x"));
  });
  enrollment.listen(0, "127.0.0.1");
  await once(enrollment, "listening");
  await using network = await RouterNetwork.start({
    enrollAddress: { host: "127.0.0.1", port: portOf(enrollment.address()) },
    limits: { maxPassthroughsPerSource: 2 },
  });
  const enroll = async (): Promise<Socket> => {
    const socket = await open(network);
    socket.write(hello);
    return socket;
  };
  const held = [await enroll(), await enroll()];
  await Promise.all(held.map((socket) => once(socket, "data")));
  await closed(await enroll());
  expect(network.recorded("tunnel.refused")).toMatchObject([{ reason: "source-enrollments" }]);
  const upstreamGone = Promise.withResolvers<void>();
  for (const socket of upstreams) socket.once("close", () => upstreamGone.resolve());
  held[0]?.destroy();
  await upstreamGone.promise;
  await once(await enroll(), "data");
  enrollment.close();
});

test("an enrollment that nobody answers ends for its client", async () => {
  await using network = await RouterNetwork.start();
  const socket = await open(network);
  socket.write(await clientHello(["sallyport-enroll/1"]));
  await closed(socket);
});
