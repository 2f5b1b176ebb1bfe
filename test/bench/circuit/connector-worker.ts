/** A connector as a process of its own. */
import { createPrivateKey } from "node:crypto";
import { join } from "node:path";
import {
  Connector,
  forward,
  hostTcp,
  profilePaths,
  tuneHeapForBuffers,
  type Circuit,
  type Profile,
} from "@sallyport/connector";
import { createSvid, derOf, trustBundle } from "@sallyport/identity";
import { serveWorker, type IssuedIdentity } from "@sallyport/testing";

export interface ConnectorWorkerApi {
  readonly open: (options: {
    readonly identity: IssuedIdentity;
    readonly router: string;
    readonly folder: string;
  }) => Promise<null>;
  readonly host: (options: { readonly service: string; readonly target: string }) => Promise<null>;
  /** Hosts without a target: each circuit is kept, and what arrives is read. */
  readonly hold: (options: { readonly service: string; readonly maxCircuits: number }) => Promise<null>;
  /** Answers with the local port that leads to the service. */
  readonly forward: (options: { readonly service: string }) => Promise<number>;
  /** Opens circuits, `atOnce` at a time, each with its time in ms from the dial to the proven circuit; kept unless `close`. */
  readonly dial: (options: {
    readonly service: string;
    readonly count: number;
    readonly atOnce: number;
    readonly close: boolean;
  }) => Promise<readonly number[]>;
  /** Dials that must be refused, one after the other, each with its time in ms. */
  readonly dialDenied: (options: { readonly service: string; readonly count: number }) => Promise<readonly number[]>;
}

tuneHeapForBuffers();

const opened: { connector?: Connector } = {};
const kept = new Set<Circuit>();
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined };

const api: ConnectorWorkerApi = {
  open: async ({ identity, router, folder }) => {
    opened.connector = await Connector.open({ profile: profileOf(identity, router, folder), log: silent });
    return null;
  },
  host: async ({ service, target }) => {
    await hostTcp({ connector: running(), service, target }).ready;
    return null;
  },
  hold: async ({ service, maxCircuits }) => {
    await running().host(service, "tcp", keep, { maxCircuits }).ready;
    return null;
  },
  forward: async ({ service }) => {
    const { address } = await forward({ connector: running(), service, listen: "127.0.0.1:0" });
    return Number(address.split(":").at(-1));
  },
  dial: async ({ service, count, atOnce, close }) => {
    const times: number[] = [];
    let left = count;
    const dialInTurn = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const startedAt = performance.now();
        const circuit = await running().dial(service);
        times.push(performance.now() - startedAt);
        if (close) circuit.end().resume();
        else keep(circuit);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, dialInTurn));
    return times;
  },
  dialDenied: async ({ service, count }) => {
    const times: number[] = [];
    for (let dial = 0; dial < count; dial += 1) {
      const startedAt = performance.now();
      const failure: unknown = await running()
        .dial(service)
        .catch((error: unknown) => error);
      times.push(performance.now() - startedAt);
      if (!(failure instanceof Error && "code" in failure && failure.code === "DIAL_REFUSED"))
        throw new Error("a dial that policy denies was not refused", { cause: failure });
    }
    return times;
  },
};

function keep(circuit: Circuit): void {
  kept.add(circuit);
  circuit.on("close", () => kept.delete(circuit));
  circuit.on("end", () => circuit.end());
  circuit.resume();
}

function running(): Connector {
  if (opened.connector === undefined) throw new Error("`open` comes first");
  return opened.connector;
}

function profileOf(identity: IssuedIdentity, router: string, folder: string): Profile {
  const svid = createSvid(derOf(identity.chain), createPrivateKey(identity.privateKey));
  const name = svid.identity.kind === "workload" ? svid.identity.name : "";
  const base = join(folder, svid.identity.id.uri.replaceAll(/[^a-z0-9]+/g, "-"));
  const folders = { configHome: base, dataHome: base, stateHome: base };
  return {
    name,
    folders,
    paths: profilePaths(folders, name),
    routers: [router],
    generation: 1,
    svid,
    bundle: trustBundle({ trustDomain: identity.trustDomain, roots: derOf(identity.roots), sequence: 1 }),
  };
}

serveWorker(api);
