import { WireCode } from "@sallyport/frame";
import type { Connector, HostOptions } from "../../connector/connector.ts";
import type { Hosting } from "../../connector/hosting.ts";
import { failure } from "../../connector/log.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import { splitAddress } from "../../profile/token.ts";
import { join } from "./join.ts";
import { TcpTarget } from "./tcp-target.ts";

export interface HostTcpOptions extends Omit<HostOptions, "health"> {
  readonly connector: Connector;
  readonly service: string;
  /** `host:port` as this machine reaches it. */
  readonly target: string;
}

/** Hosts a TCP server: a connection to `target` per circuit. Throws TARGET_INVALID, COST_INVALID, ALREADY_HOSTED. */
export function hostTcp({ connector, service, target, ...preference }: HostTcpOptions): Hosting {
  const reached = new TcpTarget(splitAddress(target));
  const onCircuit = (circuit: Circuit): void => {
    serve(circuit, reached).catch((error: unknown) => {
      connector.log.warn({ service, circuit: circuit.circuitId, target, ...failure(error) }, "target not reached");
      circuit.reset(WireCode.gone);
    });
  };
  return connector.host(service, "tcp", onCircuit, { ...preference, health: () => reached.health() });
}

async function serve(circuit: Circuit, target: TcpTarget): Promise<void> {
  await join(await target.connect(), circuit);
}
