/**
 * `node --conditions=sallyport-source packages/tunnel/src/tunnel.bench.ts [megabytes]`: what a stream of a tunnel costs beside the bare connection
 * under it, both ends together, over loopback TCP without TLS.
 */
import { once } from "node:events";
import { type Socket, connect, createServer } from "node:net";
import type { Readable, Writable } from "node:stream";
import { StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import { Tunnel } from "./tunnel.ts";

const totalBytes = Number(process.argv[2] ?? 1000) * 1e6;
const block = Buffer.alloc(65_536, 7);

async function tcpPair(): Promise<readonly [Socket, Socket]> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  const accepted = Promise.withResolvers<Socket>();
  server.once("connection", accepted.resolve);
  const far = connect(address.port, "127.0.0.1");
  const near = await accepted.promise;
  server.close();
  return [near, far];
}

async function transfer(name: string, from: Writable, to: Readable): Promise<void> {
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  let received = 0;
  const done = Promise.withResolvers<void>();
  to.on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (received >= totalBytes) done.resolve();
  });
  let sent = 0;
  const feed = (): void => {
    while (sent < totalBytes) {
      sent += block.length;
      if (from.write(block)) continue;
      from.once("drain", feed);
      return;
    }
  };
  feed();
  await done.promise;
  const { user, system } = process.cpuUsage(cpuBefore);
  const gigabytes = received / 1e9;
  const megabytesPerSecond = received / 1e3 / (performance.now() - began);
  process.stdout.write(
    `${name}: ${((user + system) / 1e6 / gigabytes).toFixed(2)} CPU-seconds per GB, ${megabytesPerSecond.toFixed(0)} MB/s\n`,
  );
}

async function openStream(): Promise<readonly [Writable, Readable, () => Promise<void>]> {
  const [near, far] = await tcpPair();
  const taken = Promise.withResolvers<Readable>();
  const router = new Tunnel(near, {
    side: "router",
    software: "bench/1",
    onOpen: (incoming) => taken.resolve(incoming.accept(StreamAccept.create()).on("error", () => {})),
  });
  const workload = new Tunnel(far, { side: "workload", software: "bench/1" });
  const result = await workload.openStream(StreamOpen.create({ service: "bench" }));
  if (result.kind !== "accepted") throw new Error(`The stream was refused: ${result.refusal.code}.`);
  const close = async (): Promise<void> => {
    await Promise.all([workload.close(), router.close()]);
  };
  return [result.stream, await taken.promise, close];
}

const [near, far] = await tcpPair();
await transfer("TCP", far, near);
far.destroy();
near.destroy();
const [from, to, close] = await openStream();
await transfer("stream of a tunnel over TCP", from, to);
await close();
