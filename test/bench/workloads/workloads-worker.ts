/**
 * Many workloads in one process, each with a connector of its own, and circuits between them that stream at a bounded rate. It tells when each end of a
 * circuit last got a byte.
 */
import { once } from "node:events";
import { Connector, enroll, tuneHeapForBuffers, type Circuit, type Profile } from "@sallyport/connector";
import { serveWorker } from "@sallyport/testing";
import { beats, type Flow, flowNumber, flowOf, FlowEnd } from "./flow.ts";

/** What an application at one end saw of a circuit. */
export interface EndReport {
  readonly circuitId: string;
  /** Name of the workload that dialed. */
  readonly dialer: string;
  readonly role: "dialer" | "host";
  readonly flow: Flow;
  /** On the monotonic clock of the machine (`process.hrtime`); null when nothing came. */
  readonly lastByteMs: number | null;
  /** On the same clock; null while it lives. */
  readonly endedMs: number | null;
}

export interface WorkloadsApi {
  /** Enrolls by the token and connects. `reversed`: tries the routers from the last on. */
  readonly join: (options: {
    readonly name: string;
    readonly token: string;
    readonly folder: string;
    readonly reversed: boolean;
  }) => Promise<null>;
  readonly leave: (options: { readonly name: string }) => Promise<null>;
  readonly host: (options: {
    readonly name: string;
    readonly service: string;
    readonly maxCircuits: number;
  }) => Promise<null>;
  readonly dial: (options: {
    readonly name: string;
    readonly service: string;
    readonly flow: Flow;
    readonly count: number;
  }) => Promise<null>;
  /** Sends `bytes` over a circuit of its own, to its end. */
  readonly bulk: (options: {
    readonly name: string;
    readonly service: string;
    readonly bytes: number;
  }) => Promise<null>;
  /** Circuits of the dialer, at whichever end is here; those that are over for a quarter of a minute. */
  readonly report: (options: { readonly dialer: string }) => readonly EndReport[];
  /** Ends the dialer's circuits well. */
  readonly hangUp: (options: { readonly dialer: string }) => Promise<null>;
}

interface End {
  readonly dialer: string;
  readonly flow: Flow;
  readonly end: FlowEnd;
}

const connectors = new Map<string, Connector>();
const ends = new Map<Circuit, End>();
const keptAfterEndMs = 15_000;
const bulkChunk = Buffer.alloc(65_536, 7);
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined };

tuneHeapForBuffers();

const api: WorkloadsApi = {
  join: async ({ name, token, folder, reversed }) => {
    const folders = { configHome: `${folder}/config`, dataHome: `${folder}/data`, stateHome: `${folder}/state` };
    const enrolled = await enroll({ token, profile: name, folders });
    const profile: Profile = reversed ? { ...enrolled, routers: enrolled.routers.toReversed() } : enrolled;
    connectors.set(name, await Connector.open({ profile, log: silent }));
    return null;
  },
  leave: async ({ name }) => {
    await connectors.get(name)?.[Symbol.asyncDispose]();
    connectors.delete(name);
    return null;
  },
  host: async ({ name, service, maxCircuits }) => {
    const take = (circuit: Circuit): void => {
      circuit.on("error", () => undefined);
      circuit.once("readable", () => {
        const first: unknown = circuit.read(1);
        if (!Buffer.isBuffer(first)) return;
        const flow = flowOf(first[0] ?? 0);
        follow(circuit, dialerOf(circuit), flow, "host");
      });
    };
    await connectorOf(name).host(service, "tcp", take, { maxCircuits }).ready;
    return null;
  },
  dial: async ({ name, service, flow, count }) => {
    for (let dialled = 0; dialled < count; dialled += 1) {
      const circuit = await connectorOf(name).dial(service);
      circuit.on("error", () => undefined);
      circuit.write(Buffer.of(flowNumber(flow)));
      follow(circuit, name, flow, "dialer");
    }
    return null;
  },
  bulk: async ({ name, service, bytes }) => {
    const circuit = await connectorOf(name).dial(service);
    circuit.on("error", () => undefined);
    circuit.resume();
    circuit.write(Buffer.of(flowNumber("bulk")));
    for (let left = bytes; left > 0 && circuit.writable; left -= bulkChunk.length)
      if (!circuit.write(bulkChunk)) await once(circuit, "drain");
    circuit.end();
    const end = await circuit.closedBy;
    if (end.kind !== "ended") throw new Error(`the bulk transfer ended: ${end.kind}`);
    return null;
  },
  report: ({ dialer }) => {
    const reports: EndReport[] = [];
    for (const [circuit, { dialer: by, flow, end }] of ends) {
      if (by !== dialer) continue;
      const { circuitId, role } = circuit;
      reports.push({ circuitId, dialer, role, flow, lastByteMs: end.lastByteMs, endedMs: end.endedMs });
    }
    return reports;
  },
  hangUp: async ({ dialer }) => {
    const theirs = [...ends].filter(([, { dialer: by }]) => by === dialer).map(([circuit]) => circuit);
    for (const circuit of theirs) circuit.resume().end();
    await Promise.all(theirs.map((circuit) => circuit.closedBy));
    return null;
  },
};

function follow(circuit: Circuit, dialer: string, flow: Flow, role: "dialer" | "host"): void {
  ends.set(circuit, { dialer, flow, end: new FlowEnd(circuit, flow, role) });
  void circuit.closedBy.then(() => {
    // For whoever asks soon how it ended, and not for longer: a report must not be the leak that a soak looks for.
    setTimeout(() => ends.delete(circuit), keptAfterEndMs).unref();
  });
}

function connectorOf(name: string): Connector {
  const connector = connectors.get(name);
  if (connector === undefined) throw new Error(`${name} has not joined`);
  return connector;
}

function dialerOf({ peer }: Circuit): string {
  return peer.identity.kind === "workload" ? peer.identity.name : "";
}

beats(() => [...ends.values()].map(({ end }) => end));
serveWorker(api);
