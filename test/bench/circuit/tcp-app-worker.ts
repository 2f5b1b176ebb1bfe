/** The applications at both ends of what is measured: a sink that counts, and a source that writes as fast as it may. Plain TCP. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { serveWorker } from "@sallyport/testing";

export interface Transfer {
  readonly bytes: number;
  /** From the sink's greeting, so with the path open, to its end, so with every byte arrived. */
  readonly ms: number;
}

export interface TcpAppApi {
  /** A server that greets with one byte whoever has sent one, reads to the end, and ends. Answers with its port. */
  readonly listen: (nothing: null) => Promise<number>;
  /** Bytes that each live connection brought since the last call. */
  readonly taken: (nothing: null) => readonly number[];
  /** Sends `bytes` over one connection. */
  readonly send: (options: { readonly port: number; readonly bytes: number }) => Promise<Transfer>;
  /** Sends over `connections` at once, without end. */
  readonly flood: (options: { readonly port: number; readonly connections: number }) => Promise<null>;
  /** Ends what `flood` and `stall` began. */
  readonly stop: (nothing: null) => Promise<null>;
  /** Sends without end over one connection that the sink does not read. */
  readonly stall: (options: { readonly port: number }) => Promise<null>;
}

const chunk = Buffer.alloc(65_536, 7);
/** The first byte of a connection that the sink is not to read. */
const stalls = 0;
const counts = new Map<Socket, number>();
const sources = new Set<Socket>();

const api: TcpAppApi = {
  listen: async () => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      socket.on("error", () => undefined);
      socket.once("data", (first: Buffer) => {
        socket.write("!");
        if (first[0] === stalls) socket.pause();
        else read(socket);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return portOf(server.address());
  },
  taken: () => {
    const taken = [...counts.values()];
    for (const socket of counts.keys()) counts.set(socket, 0);
    return taken;
  },
  send: async ({ port, bytes }) => {
    const socket = await open(port, 1);
    const startedAt = performance.now();
    for (let left = bytes; left > 0; left -= chunk.length) {
      if (!socket.write(left >= chunk.length ? chunk : chunk.subarray(0, left))) await once(socket, "drain");
    }
    socket.end();
    await once(socket, "end");
    return { bytes, ms: performance.now() - startedAt };
  },
  flood: async ({ port, connections }) => {
    const sockets = await Promise.all(Array.from({ length: connections }, () => open(port, 1)));
    for (const socket of sockets) fill(socket);
    return null;
  },
  stop: async () => {
    const closed = [...sources].map((socket) => once(socket, "close"));
    for (const socket of sources) socket.resetAndDestroy();
    sources.clear();
    await Promise.all(closed);
    return null;
  },
  stall: async ({ port }) => {
    fill(await open(port, stalls));
    return null;
  },
};

function read(socket: Socket): void {
  counts.set(socket, 0);
  socket.on("data", ({ length }: Buffer) => counts.set(socket, (counts.get(socket) ?? 0) + length));
  socket.on("end", () => socket.end());
  socket.on("close", () => counts.delete(socket));
}

/** A connection over which the sink has been heard. */
async function open(port: number, firstByte: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
  socket.on("error", () => undefined);
  socket.write(Buffer.of(firstByte));
  const [first] = await once(socket, "data");
  if (!Buffer.isBuffer(first)) throw new Error("the sink did not greet");
  return socket;
}

function fill(socket: Socket): void {
  sources.add(socket);
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on("drain", more);
  more();
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("the sink has no port");
  return address.port;
}

serveWorker(api);
