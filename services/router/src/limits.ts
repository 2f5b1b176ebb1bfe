import { INITIAL_WINDOW_BYTES, MAX_CREDIT_BYTES } from "@sallyport/frame";
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
  /** Of one SPIFFE ID. A process keeps two, and twice that while it renews. */
  readonly maxTunnelsPerIdentity: number;
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
  /** What may wait for one stream, and still be sent on it: what the spec lets a receiver grant. Ours grant a sixteenth of it. */
  readonly maxQueuedBytesPerStream: number;
  /** What may wait for one tunnel: a whole window of every stream that it can have, so that only a grant beyond the windows can overflow it. */
  readonly maxQueuedBytesPerTunnel: number;
  /** The same over all tunnels: beyond it the tunnel with most is ended. */
  readonly maxQueuedBytes: number;
  /** Over all tunnels of a SPIFFE ID. A tenth of what one router opens. */
  readonly opensPerSecondPerIdentity: number;
  readonly openBurstPerIdentity: number;
  /** Average lateness of the event loop over a second from which on nothing new is taken: what runs would pay for it. */
  readonly overloadDelayMs: number;
  readonly maxServicesPerTunnel: number;
  /** From OPEN at the host to its answer. */
  readonly hostAnswerMs: number;
  /** Hosts asked, one after the other, before a dial is refused. */
  readonly maxHostAttempts: number;
  /** How often each host is asked whether it is up. With the time for its answer well below 15 s, in which a host that hangs must be noticed. */
  readonly probeEveryMs: number;
  /** From OPEN of a probe to its answer. */
  readonly probeTimeoutMs: number;
  /** Over all hosts: 5,000 of them are asked every ten seconds. */
  readonly maxProbesPerSecond: number;
  readonly maxBuiltInStreamsPerTunnel: number;
  /** Other routers that this one has a link to. */
  readonly maxLinkedRouters: number;
  /** To one router: the one in use, and those before it whose last streams have not ended. */
  readonly maxLinksPerRouter: number;
  /** A link carries the circuits of many workloads. */
  readonly maxStreamsPerLink: number;
  /** Beyond it the circuits with most of it are reset. Half of what may wait over all. */
  readonly maxQueuedBytesPerLink: number;
  /** Of dials that come over it. As many as one router opens. */
  readonly opensPerSecondPerLink: number;
  /** Of announcements that come over it, each of up to some fifty hosts. */
  readonly controlsPerSecondPerLink: number;
  readonly maxHostsPerLink: number;
  /** From the last word of a router, by the bus or over a link. As long as a head counts: after that no dial is allowed without the bus. */
  readonly forgetRouterAfterMs: number;
  /** Refusals recorded per second over all unproven sources; the rest is counted in the next record. */
  readonly recordedRefusalsPerSecond: number;
  /** Calls of Watch at once. */
  readonly maxWatchers: number;
  /** Changes that may wait for one watcher: a burst of circuits that a reader catches up with. */
  readonly maxWatchBacklog: number;
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
  maxTunnelsPerIdentity: 64,
  maxPassthroughs: 256,
  maxPassthroughsPerSource: 32,
  passthroughMs: 30_000,
  maxPassthroughBytes: 262_144,
  helloMs: 5_000,
  maxStreamsPerTunnel: 256,
  maxQueuedBytesPerStream: MAX_CREDIT_BYTES,
  maxQueuedBytesPerTunnel: 256 * INITIAL_WINDOW_BYTES + queueSlackBytes,
  maxQueuedBytes: 536_870_912,
  opensPerSecondPerIdentity: 500,
  openBurstPerIdentity: 1_000,
  overloadDelayMs: 250,
  maxServicesPerTunnel: 64,
  hostAnswerMs: 5_000,
  maxHostAttempts: 3,
  probeEveryMs: 5_000,
  probeTimeoutMs: 5_000,
  maxProbesPerSecond: 500,
  maxBuiltInStreamsPerTunnel: 8,
  maxLinkedRouters: 64,
  maxLinksPerRouter: 4,
  maxStreamsPerLink: 8_192,
  maxQueuedBytesPerLink: 268_435_456,
  opensPerSecondPerLink: 5_000,
  controlsPerSecondPerLink: 1_000,
  maxHostsPerLink: 16_384,
  forgetRouterAfterMs: 900_000,
  recordedRefusalsPerSecond: 10,
  maxWatchers: 16,
  maxWatchBacklog: 4_096,
  drainGraceMs: 2_000,
};
