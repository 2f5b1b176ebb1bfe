import { INITIAL_WINDOW_BYTES } from "@sallyport/frame";
import type { SourceLimits } from "./public-port/source-admission.ts";

/** Every bound of a router, with its reason. docs/limits.md has them with what happens beyond each; config.ts makes each an option. */
export interface RouterLimits extends SourceLimits {
  /** From TCP accept to the first byte. A client of ours sends at once. */
  readonly firstByteMs: number;
  /** From TCP accept to a proven identity. */
  readonly handshakeMs: number;
  /** Handshakes started per second: at 1.4 ms each, about a third of the event loop. */
  readonly handshakesPerSecond: number;
  readonly handshakeBurst: number;
  readonly maxWaitingHandshakes: number;
  readonly maxTunnels: number;
  /** A workload keeps one tunnel per process, and a second one while it renews. */
  readonly maxTunnelsPerWorkload: number;
  readonly maxPassthroughs: number;
  /** The same of one source address. A site behind one address enrolls one after the other; each takes less than a second. */
  readonly maxPassthroughsPerSource: number;
  /** An enrollment is one call: whoever stays longer is cut. */
  readonly passthroughMs: number;
  /** Per direction. A certificate chain, a CSR and an answer fit many times. */
  readonly maxPassthroughBytes: number;
  /** From the handshake to the peer's HELLO. */
  readonly helloMs: number;
  readonly maxStreamsPerTunnel: number;
  /** What may wait for one tunnel: a whole window of every stream that it can have, so that only a grant beyond the windows can overflow it. */
  readonly maxQueuedBytesPerTunnel: number;
  /** The same over all tunnels: beyond it the tunnel with most is ended. */
  readonly maxQueuedBytes: number;
  readonly opensPerSecondPerTunnel: number;
  readonly openBurstPerTunnel: number;
  readonly maxServicesPerTunnel: number;
  /** From OPEN at the host to its answer. */
  readonly hostAnswerMs: number;
  /** Hosts asked, one after the other, before a dial is refused. */
  readonly maxHostAttempts: number;
  readonly maxBuiltInStreamsPerTunnel: number;
  /** Refusals recorded per second over all unproven sources; the rest is counted in the next record. */
  readonly recordedRefusalsPerSecond: number;
  /** From drain to close: live circuits may end by themselves. Well below what a supervisor waits before it kills. */
  readonly drainGraceMs: number;
}

/** Of a tunnel's queue, beside the windows of its streams: control frames, answers, and a grant that came early. */
export const queueSlackBytes = 4_194_304;

export const routerLimits: RouterLimits = {
  firstByteMs: 2_000,
  handshakeMs: 5_000,
  maxUnproven: 1_024,
  maxUnprovenPerSource: 128,
  connectionsPerSecondPerSource: 100,
  connectionBurstPerSource: 200,
  maxSources: 4_096,
  handshakesPerSecond: 250,
  handshakeBurst: 100,
  maxWaitingHandshakes: 512,
  maxTunnels: 10_000,
  maxTunnelsPerWorkload: 64,
  maxPassthroughs: 256,
  maxPassthroughsPerSource: 32,
  passthroughMs: 30_000,
  maxPassthroughBytes: 262_144,
  helloMs: 5_000,
  maxStreamsPerTunnel: 256,
  maxQueuedBytesPerTunnel: 256 * INITIAL_WINDOW_BYTES + queueSlackBytes,
  maxQueuedBytes: 536_870_912,
  opensPerSecondPerTunnel: 200,
  openBurstPerTunnel: 400,
  maxServicesPerTunnel: 64,
  hostAnswerMs: 5_000,
  maxHostAttempts: 3,
  maxBuiltInStreamsPerTunnel: 8,
  recordedRefusalsPerSecond: 10,
  drainGraceMs: 2_000,
};
