/** One end of a load, as a process of its own: either of a tunnel, or of a plain TLS connection. It sends, or it counts what arrives. */
import { once } from "node:events";
import { createServer, type TLSSocket } from "node:tls";
import { collectGarbage, serveWorker } from "@sallyport/testing";
import type { PemIdentity } from "../peers/certificate-files.ts";
import { LoadTunnel, connectTls, writeBytes, type LoadTunnelOptions } from "./load-tunnel.ts";

const block = Buffer.alloc(writeBytes, 7);
const taken = { bytes: 0, awaited: Number.POSITIVE_INFINITY, reached: (): void => undefined };
const tunnels: LoadTunnel[] = [];
const sockets: TLSSocket[] = [];

/** Counts what arrives at this end, over whichever connection. */
function count(bytes: number): void {
  taken.bytes += bytes;
  if (taken.bytes >= taken.awaited) taken.reached();
}

const api = {
  /** As a workload that hosts the service and takes whatever is sent to it. */
  host: async ({ service, ...to }: LoadTunnelOptions & { readonly service: string }): Promise<void> => {
    await (await taking(to)).host(service);
  },

  /** Many tunnels, a few at a time; each hosts the service, and answers each stream with so many bytes. */
  hostMany: async ({
    identities,
    service,
    ...to
  }: Omit<LoadTunnelOptions, "identity"> & {
    readonly identities: readonly PemIdentity[];
    readonly service: string;
  }): Promise<void> => {
    await several(identities, async (identity) => {
      const tunnel = await LoadTunnel.connect({ ...to, identity });
      await tunnel.host(service);
      tunnels.push(tunnel);
    });
  },

  /** Many tunnels, a few at a time. */
  connectMany: async (to: { readonly port: number; readonly identities: readonly PemIdentity[] }): Promise<void> => {
    await several(to.identities, async (identity) => {
      tunnels.push(await LoadTunnel.connect({ port: to.port, identity }));
    });
  },

  /** On each tunnel of this process so many bytes there and back. */
  exchangeAll: async ({ service, bytes }: { readonly service: string; readonly bytes: number }): Promise<void> => {
    await several(tunnels, async (tunnel) => await tunnel.exchange(service, bytes));
  },

  /** How many tunnels of this process have received so much. */
  received: async ({ bytes }: { readonly bytes: number }): Promise<number> =>
    tunnels.filter(({ receivedBytes }) => receivedBytes >= bytes).length,

  /** Many TLS connections, a few at a time, each of which carries so many bytes there and back, and stays. */
  connectTlsMany: async (asked: {
    readonly port: number;
    readonly identity: PemIdentity;
    readonly connections: number;
    readonly bytes: number;
  }): Promise<void> => {
    const each = Array.from({ length: asked.connections }, (_, index) => index);
    await several(each, async () => {
      const socket = connectTls(asked.port, asked.identity);
      await once(socket, "secureConnect");
      sockets.push(socket);
      let received = 0;
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.on("data", (chunk: Buffer) => {
        received += chunk.length;
        if (received >= asked.bytes) resolve();
      });
      for (let sent = 0; sent < asked.bytes; sent += block.length) {
        if (!socket.write(block)) await once(socket, "drain");
      }
      await promise;
    });
  },

  collect: async (_nothing: null): Promise<void> => await collectGarbage(),

  /** Takes whatever is sent on the tunnel, without a word about services. */
  take: async (to: LoadTunnelOptions): Promise<void> => {
    await taking(to);
  },

  /** Answers with the tunnel's number. */
  connectTunnel: async (to: LoadTunnelOptions): Promise<number> => tunnels.push(await LoadTunnel.connect(to)) - 1,

  /** Answers with the ids of fresh streams. */
  openStreams: async (asked: {
    readonly tunnel: number;
    readonly service: string;
    readonly count: number;
  }): Promise<readonly number[]> => {
    const ids: number[] = [];
    for (let opened = 0; opened < asked.count; opened += 1) ids.push(await tunnelAt(asked.tunnel).open(asked.service));
    return ids;
  },

  /** Answers with the bytes of payload sent, which are not less than asked for. */
  sendFrames: async (asked: {
    readonly tunnel: number;
    readonly streamIds: readonly number[];
    readonly bytes: number;
    readonly payloadBytes: number;
  }): Promise<number> => await tunnelAt(asked.tunnel).send(asked.streamIds, asked.bytes, asked.payloadBytes),

  /** A TLS server that requires a certificate and takes whatever is sent to it, or sends it back; answers with its port. */
  listenTls: async ({
    echo,
    identity: { chain, privateKey, roots },
  }: {
    readonly echo: boolean;
    readonly identity: PemIdentity;
  }): Promise<number> => {
    // oxlint-disable-next-line sallyport/no-tls-server-end -- what stands behind a relay of a benchmark, which offers no ALPN
    const server = createServer({
      cert: chain,
      key: privateKey,
      ca: roots,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
    });
    server.on("secureConnection", (socket) => {
      if (echo) socket.pipe(socket);
      else socket.on("data", (chunk: Buffer) => count(chunk.length));
      socket.on("error", () => undefined);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port.");
    return address.port;
  },

  /** Answers with the connection's number and the cipher. */
  connectTls: async ({
    port,
    identity,
  }: LoadTunnelOptions): Promise<{ readonly connection: number; readonly cipher: string }> => {
    const socket = connectTls(port, identity);
    await once(socket, "secureConnect");
    return { connection: sockets.push(socket) - 1, cipher: socket.getCipher().name };
  },

  /** Answers with the bytes sent, which are not less than asked for. */
  sendTls: async (asked: { readonly connection: number; readonly bytes: number }): Promise<number> => {
    const socket = sockets[asked.connection];
    if (socket === undefined) throw new Error("There is no such connection.");
    let sent = 0;
    while (sent < asked.bytes) {
      sent += block.length;
      if (!socket.write(block)) await once(socket, "drain");
    }
    return sent;
  },

  /** Resolves when so many bytes have arrived since this process began. */
  untilReceived: async ({ bytes }: { readonly bytes: number }): Promise<number> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    taken.awaited = bytes;
    taken.reached = resolve;
    count(0);
    await promise;
    return taken.bytes;
  },
};

async function taking(to: LoadTunnelOptions): Promise<LoadTunnel> {
  const tunnel = await LoadTunnel.connect(to);
  let seen = 0;
  tunnel.onReceived = () => {
    count(tunnel.receivedBytes - seen);
    seen = tunnel.receivedBytes;
  };
  tunnels.push(tunnel);
  return tunnel;
}

export type LoadWorkerApi = typeof api;

/** At most so many at a time: a router takes only so many handshakes at once. */
async function several<T>(items: readonly T[], each: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const atOnce = 16;
  const work = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await each(item);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

function tunnelAt(index: number): LoadTunnel {
  const tunnel = tunnels[index];
  if (tunnel === undefined) throw new Error("There is no such tunnel.");
  return tunnel;
}

serveWorker(api);
