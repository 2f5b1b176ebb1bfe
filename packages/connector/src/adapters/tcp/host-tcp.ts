import { connect, type Socket } from "node:net";
import { WireCode } from "@sallyport/frame";
import type { Connector } from "../../connector/connector.ts";
import type { Hosting } from "../../connector/hosting.ts";
import { failure } from "../../connector/log.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import { splitAddress } from "../../profile/token.ts";
import { join } from "./join.ts";

export interface HostTcpOptions {
  readonly connector: Connector;
  readonly service: string;
  /** `host:port` as this machine reaches it. */
  readonly target: string;
}

const connectTimeoutMs = 5_000;

/** Hosts a TCP server: a connection to `target` per circuit. Throws TARGET_INVALID, ALREADY_HOSTED. */
export function hostTcp({ connector, service, target }: HostTcpOptions): Hosting {
  const address = splitAddress(target);
  return connector.host(service, "tcp", (circuit) => {
    serve(circuit, address).catch((error: unknown) => {
      connector.log.warn({ service, circuit: circuit.circuitId, target, ...failure(error) }, "target not reached");
      circuit.reset(WireCode.gone);
    });
  });
}

async function serve(circuit: Circuit, address: { readonly host: string; readonly port: number }): Promise<void> {
  const socket = connect({ ...address, allowHalfOpen: true, noDelay: true });
  await connected(socket);
  await join(socket, circuit);
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}
