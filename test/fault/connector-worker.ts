/** A connector in a process of its own, so that it can be killed, stopped, and put into a network of its own. */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Connector, hostTcp, loadProfile, type Circuit, type ConnectorLog } from "@sallyport/connector";
import { serveWorker } from "@sallyport/testing";
import type { CircuitFate, ConnectorWorkerApi, DialingReport } from "./connector-worker-api.ts";

const HELD_EVERY_MS = 100;
const DIAL_PAUSE_MS = 20;
const PAYLOAD_BYTES = 4_096;
const MAX_LOG_LINES = 200;

class Fate implements CircuitFate {
  readonly circuitId: string;
  readonly circuit: Circuit;
  end: string | null = null;
  endedAtUnixMs = 0;
  longestSilenceMs = 0;
  #heardAt = performance.now();

  constructor(circuit: Circuit) {
    this.circuit = circuit;
    this.circuitId = circuit.circuitId;
    circuit.on("error", () => undefined);
    void circuit.closedBy.then(({ kind }) => {
      this.end = kind;
      this.endedAtUnixMs = Date.now();
    });
  }

  heard(): void {
    const now = performance.now();
    this.longestSilenceMs = Math.max(this.longestSilenceMs, now - this.#heardAt);
    this.#heardAt = now;
  }

  tell(): CircuitFate {
    const { circuitId, end, endedAtUnixMs, longestSilenceMs } = this;
    return { circuitId, end, endedAtUnixMs, longestSilenceMs };
  }
}

interface Dialing {
  readonly stop: AbortController;
  readonly running: Promise<unknown>;
  readonly circuitIds: string[];
  readonly failures: { readonly atUnixMs: number; readonly why: string }[];
  slowestMs: number;
}

const lines: string[] = [];
const held: Fate[] = [];
const hosted: Fate[] = [];
let opened: Connector | null = null;
let dialing: Dialing | null = null;

function say(level: string): (facts: object, message: string) => void {
  return (facts, message) => {
    lines.push(`${new Date().toISOString()} ${level} ${message} ${JSON.stringify(facts)}`);
    if (lines.length > MAX_LOG_LINES) lines.shift();
  };
}

const log: ConnectorLog = { debug: say("debug"), info: say("info"), warn: say("warn") };

function connector(): Connector {
  if (opened === null) throw new Error("the connector is not open");
  return opened;
}

async function keepBusy(fate: Fate): Promise<void> {
  const { circuit } = fate;
  circuit.on("data", () => fate.heard());
  while (fate.end === null && !circuit.writableEnded) {
    circuit.write("still there");
    await pause(HELD_EVERY_MS);
  }
}

async function dialOnce(service: string, report: Dialing): Promise<void> {
  const startedAt = performance.now();
  try {
    const circuit = await connector().dial(service);
    const sent = randomBytes(PAYLOAD_BYTES);
    circuit.end(sent);
    const received = Buffer.concat(await circuit.toArray());
    const { kind } = await circuit.closedBy;
    if (!received.equals(sent)) throw new Error(`the echo differs: ${received.length} bytes, ${kind}`);
    report.circuitIds.push(circuit.circuitId);
    report.slowestMs = Math.max(report.slowestMs, performance.now() - startedAt);
  } catch (error) {
    const why = error instanceof Error ? `${error.name} ${error.message}` : String(error);
    report.failures.push({ atUnixMs: Date.now(), why });
    await pause(HELD_EVERY_MS);
  }
}

async function dialOn(service: string, report: Dialing): Promise<void> {
  while (!report.stop.signal.aborted) {
    await dialOnce(service, report);
    await pause(DIAL_PAUSE_MS);
  }
}

serveWorker<ConnectorWorkerApi>({
  open: async ({ profile: name, folders, routers }) => {
    const profile = await loadProfile(name, folders);
    opened = await Connector.open({ profile: routers === undefined ? profile : { ...profile, routers }, log });
  },
  host: async (service) => {
    const hosting = connector().host(service, "tcp", (circuit) => {
      hosted.push(new Fate(circuit));
      circuit.pipe(circuit);
    });
    await hosting.ready;
  },
  forward: async ({ service, target }) => {
    await hostTcp({ connector: connector(), service, target }).ready;
  },
  hold: async ({ service, count }) => {
    const fates: Fate[] = [];
    for (let made = 0; made < count; made += 1) {
      const fate = new Fate(await connector().dial(service));
      fates.push(fate);
      void keepBusy(fate);
    }
    held.push(...fates);
    return fates.map(({ circuitId }) => circuitId);
  },
  circuits: (role) => (role === "held" ? held : hosted).map((fate) => fate.tell()),
  release: async () => {
    for (const { circuit } of held) circuit.end();
    await Promise.all(held.splice(0).map(({ circuit }) => circuit.closedBy));
  },
  startDialing: ({ service, parallel }) => {
    const stop = new AbortController();
    const begun = Promise.withResolvers<void>();
    dialing = { stop, running: begun.promise, circuitIds: [], failures: [], slowestMs: 0 };
    const report = dialing;
    void Promise.all(Array.from({ length: parallel }, () => dialOn(service, report))).then(() => begun.resolve());
  },
  stopDialing: async (): Promise<DialingReport> => {
    if (dialing === null) throw new Error("nobody dials");
    const { stop, running, circuitIds, failures } = dialing;
    stop.abort();
    await running;
    const { slowestMs } = dialing;
    dialing = null;
    return { circuitIds, failures, slowestMs };
  },
  flushAudit: async () => await connector().flushAudit(AbortSignal.timeout(20_000)),
  log: () => lines,
});
