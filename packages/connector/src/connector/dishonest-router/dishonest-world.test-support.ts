import type { Circuit } from "../../circuit/circuit.ts";
import { ConnectorError } from "../../errors.ts";
import type { Connector } from "../connector.ts";
import { connectorWorld, type ConnectorWorld } from "../connector-world.test-support.ts";
import type { RouterScript } from "../scripted-router.test-support.ts";

/** `agent` and `rival` dial through a router that follows `script`; `host` hosts files and shell, `annex` may host only shell. */
export interface DishonestWorld extends AsyncDisposable {
  readonly world: ConnectorWorld;
  readonly agent: Connector;
  readonly host: Connector;
  /** Circuits of `host`, in the order in which they came to be. */
  readonly taken: readonly Circuit[];
  /** The next circuit that `host` takes. */
  next(): Promise<Circuit>;
  /** A circuit that came to be at both ends. */
  circuit(): Promise<{ readonly dialed: Circuit; readonly taken: Circuit }>;
  connector(name: string): Promise<Connector>;
  /** What agent and host, and whoever else is connected, put on record of circuits: `<vantage> <kind> <code>`. */
  record(): Promise<readonly string[]>;
  /** The same of policy. */
  policyRecord(): Promise<readonly string[]>;
}

export const moreRules: string = `
@id("rival-dials-files") permit (principal == Sallyport::Workload::"rival", action == Sallyport::Action::"dial", resource == Sallyport::Service::"files");
@id("annex-hosts-shell") permit (principal == Sallyport::Workload::"annex", action == Sallyport::Action::"host", resource == Sallyport::Service::"shell");
`;

export async function dishonestWorld(
  script: RouterScript,
  options: { readonly now?: () => number; readonly more?: readonly RouterScript[] } = {},
): Promise<DishonestWorld> {
  const world = await connectorWorld({ script, rules: moreRules, ...options });
  const connectors: Connector[] = [];
  const connector = async (name: string): Promise<Connector> => {
    const opened = await world.connector(name);
    connectors.push(opened);
    return opened;
  };
  const [agent, host] = [await connector("agent"), await connector("host")];
  const taken: Circuit[] = [];
  const waiting: ((circuit: Circuit) => void)[] = [];
  const onCircuit = (circuit: Circuit): void => {
    taken.push(circuit);
    waiting.shift()?.(circuit);
  };
  await Promise.all(["files", "shell"].map((service) => host.host(service, "tcp", onCircuit).ready));
  const recorded = async (noun: string): Promise<readonly string[]> => {
    await Promise.all(connectors.map((one) => one.flushAudit(AbortSignal.timeout(10_000))));
    return world.routers
      .flatMap(({ events }) => events)
      .filter(({ kind }) => kind.startsWith(noun))
      .map(({ vantage, kind, errorCode }) => `${vantage} ${kind} ${errorCode}`.trim());
  };
  const next = async (): Promise<Circuit> => await new Promise<Circuit>((resolve) => waiting.push(resolve));
  return {
    world,
    agent,
    host,
    taken,
    next,
    circuit: async () => {
      const [dialed, atHost] = await Promise.all([agent.dial("files"), next()]);
      return { dialed, taken: atHost };
    },
    connector,
    record: async () => await recorded("circuit."),
    policyRecord: async () => await recorded("policy."),
    [Symbol.asyncDispose]: async () => await world[Symbol.asyncDispose](),
  };
}

/** How a dial failed; what it must not do is succeed. */
export async function failureOf(dial: Promise<Circuit>): Promise<ConnectorError> {
  const outcome = await dial.catch((error: unknown) => error);
  if (outcome instanceof ConnectorError) return outcome;
  throw new Error("the dial came to a circuit, or failed otherwise", { cause: outcome });
}

/** Writes, and resolves once the bytes left this end. */
export async function write(circuit: Circuit, bytes: string | Buffer): Promise<void> {
  await new Promise<void>((resolve) => circuit.write(bytes, () => resolve()));
}

/** What a reader got of a circuit by the time that it ended. */
export async function arrived(circuit: Circuit): Promise<string> {
  let text = "";
  circuit.on("data", (chunk: Buffer) => (text += String(chunk)));
  await circuit.closedBy;
  return text;
}
