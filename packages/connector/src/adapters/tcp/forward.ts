import { once } from "node:events";
import { createServer, isIP, type AddressInfo, type Socket } from "node:net";
import { lookup } from "node:dns/promises";
import type { Connector } from "../../connector/connector.ts";
import { failure } from "../../connector/log.ts";
import { ConnectorError } from "../../errors.ts";
import { join } from "./join.ts";

export interface ForwardOptions {
  readonly connector: Connector;
  readonly service: string;
  /** `host:port` on loopback; port 0 for any. */
  readonly listen: string;
  /** Told of each connection that found no circuit. Default: the connector's log. */
  readonly onRefused?: (error: ConnectorError) => void;
}

export interface Forwarding extends AsyncDisposable {
  /** `host:port` that is listened on. */
  readonly address: string;
}

/** A loopback port whose every connection becomes a circuit to `service`. Throws LISTEN_NOT_LOOPBACK. */
export async function forward(options: ForwardOptions): Promise<Forwarding> {
  const { connector, service } = options;
  const { host, port } = await loopback(options.listen);
  const sockets = new Set<Socket>();
  const server = createServer(
    { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, highWaterMark: 262_144 },
    (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      serve(socket, options).catch((error: unknown) => {
        socket.resetAndDestroy();
        if (error instanceof ConnectorError && options.onRefused !== undefined) options.onRefused(error);
        else connector.log.warn({ service, ...failure(error) }, "connection refused");
      });
    },
  );
  server.listen(port, host);
  await once(server, "listening");
  return {
    address: addressOf(server.address()),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function serve(socket: Socket, { connector, service }: ForwardOptions): Promise<void> {
  socket.on("error", () => undefined);
  const gone = new AbortController();
  const onClose = (): void => gone.abort(new Error("the local side went away"));
  socket.once("close", onClose);
  const circuit = await connector.dial(service, { signal: gone.signal });
  socket.off("close", onClose);
  await join(socket, circuit);
}

async function loopback(listen: string): Promise<{ readonly host: string; readonly port: number }> {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/.exec(listen);
  const name = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  const host = isIP(name) !== 0 || name === "" ? name : await addressOfName(name);
  if (host === "::1" || (isIP(host) === 4 && host.startsWith("127."))) return { host, port };
  throw new ConnectorError({
    code: "LISTEN_NOT_LOOPBACK",
    message: `"${listen}" is not a port on loopback: it would put the service on the network, open to whoever is there.`,
    remedy: "Listen on 127.0.0.1:<port>.",
  });
}

async function addressOfName(name: string): Promise<string> {
  return await lookup(name).then(
    ({ address }) => address,
    () => "",
  );
}

function addressOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === "string") return "";
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
