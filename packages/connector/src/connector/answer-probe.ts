/**
 * Answers `sallyport.probe`: a router asks through the overlay whether what it believes to be hosted here is up.
 *
 * 1. The answer is the adapter's, about what it hosts; that it comes at all says that this connector runs.
 * 2. Nobody is reached more often by asking more often: adapters remember their answer, and the probes of all routers are bounded together.
 */
import { ProbeResult, StreamAccept, type Refusal } from "@sallyport/proto/tunnel";
import { writeMessage, type IncomingStream, type TunnelStream } from "@sallyport/tunnel";
import { down, type HostHealth } from "./host-health.ts";
import type { Hosting } from "./hosting.ts";

export const probeService = "sallyport.probe";

/** Two routers that probe 64 services every five seconds ask 26 times. */
const maxProbesPerSecond = 100;
const maxReasonBytes = 256;
/** For the router to take the answer and end its side. */
const takenWithinMs = 5_000;

const overloaded: Refusal = {
  code: "OVERLOADED",
  message: `this workload answers ${maxProbesPerSecond} probes a second`,
  decisionId: "",
  ruleIds: [],
  sliceVersion: 0,
};

export class ProbeAnswers {
  readonly #hostings: ReadonlyMap<string, Hosting>;
  #second = 0;
  #answered = 0;

  constructor(hostings: ReadonlyMap<string, Hosting>) {
    this.#hostings = hostings;
  }

  /** Never rejects. */
  async answer(incoming: IncomingStream): Promise<void> {
    if (!this.#mayAnswer()) {
      incoming.refuse(overloaded); // 2
      return;
    }
    const service = incoming.open.probeService;
    let stream: TunnelStream;
    try {
      stream = incoming.accept(StreamAccept.create());
    } catch {
      return; // The router gave up.
    }
    const timer = setTimeout(() => stream.destroy(), takenWithinMs);
    stream.once("close", () => clearTimeout(timer)).resume();
    const health = await this.#healthOf(service);
    const reason = health.kind === "up" ? "" : cut(health.reason);
    await writeMessage(stream, ProbeResult, { service, up: health.kind === "up", reason }).catch(() => undefined);
    stream.end();
  }

  async #healthOf(service: string): Promise<HostHealth> {
    const hosting = this.#hostings.get(service);
    if (hosting === undefined) return down("this workload does not host it");
    const refusal = hosting.protocolRefusal;
    return refusal === undefined ? await hosting.health() : down(refusal.message);
  }

  #mayAnswer(): boolean {
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#answered = 0;
    }
    this.#answered += 1;
    return this.#answered <= maxProbesPerSecond;
  }
}

/** Whole characters only. */
function cut(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxReasonBytes) return text;
  return bytes
    .subarray(0, maxReasonBytes)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
}
