/** The splice as a process of its own, or its plain version, between two TLS connections with client certificates: for benchmarks, by `startWorker`. */
import { once } from "node:events";
import { createServer, type TLSSocket } from "node:tls";
import { FrameDecoder, FrameType, encodeFrame } from "@sallyport/frame";
import { serveWorker, type SpliceWorkerApi } from "@sallyport/testing";
import { FrameChannel, tuneHeapForBuffers } from "@sallyport/tunnel";
import { Leg, type Outlet } from "../splice/leg.ts";
import { NaiveSplice } from "../splice/naive-splice.ts";
import { Splice } from "../splice/splice.ts";
import { spliceInMemory } from "./splice-in-memory.ts";

tuneHeapForBuffers();

type Legs = Map<number, Leg>;

/** As the router has it. */
function spliced(socket: TLSSocket, legs: Legs): Outlet {
  const splice = new Splice();
  const handler = {
    onFrame(type: number, _flags: number, streamId: number, chunk: Buffer, start: number, end: number): void {
      const leg = legs.get(streamId);
      if (leg !== undefined) splice.relay(leg, type, chunk, start, end);
    },
    onBatchEnd: (): void => splice.endBatch(),
    onEnd: (): void => undefined,
  };
  return new FrameChannel(socket, handler, { relay: splice.counters });
}

/** As one would write it first: each frame is copied out, encoded again and written. */
function plain(socket: TLSSocket, legs: Legs): Outlet {
  const splice = new NaiveSplice();
  const decoder = new FrameDecoder((type, _flags, streamId, chunk, start, end) => {
    const leg = legs.get(streamId);
    if (leg !== undefined && type !== FrameType.ping) splice.relay(leg, type, chunk, start, end);
  });
  socket.on("data", (chunk: Buffer) => decoder.push(chunk));
  socket.on("error", () => undefined);
  return {
    forward: (frames) => void socket.write(frames),
    writeFrame: (type, flags, streamId, payload) => void socket.write(encodeFrame(type, flags, streamId, payload)),
    dropStream: () => undefined,
    flush: () => undefined,
  };
}

const api: SpliceWorkerApi = {
  start: async ({ identity, version, circuits }) => {
    const { chain, privateKey, roots } = identity;
    // oxlint-disable-next-line sallyport/no-tls-server-end -- only bytes of a benchmark come here, and nobody asks who sent them
    const server = createServer({
      cert: chain,
      key: privateKey,
      ca: roots,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["sallyport/1"],
    });
    const ends: { readonly outlet: Outlet; readonly legs: Legs }[] = [];
    server.on("secureConnection", (socket) => {
      const legs: Legs = new Map();
      ends.push({ legs, outlet: version === "splice" ? spliced(socket, legs) : plain(socket, legs) });
      const [sink, source] = ends;
      if (sink === undefined || source === undefined) return;
      for (let circuit = 0; circuit < circuits; circuit += 1) {
        const leg = new Leg(source.outlet, 1 + 2 * circuit);
        Leg.join(leg, new Leg(sink.outlet, 2 + 2 * circuit));
        source.legs.set(leg.streamId, leg);
        sink.legs.set(leg.peer.streamId, leg.peer);
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port.");
    return address.port;
  },
  inMemory: async (run) => spliceInMemory(run),
};

serveWorker(api);
