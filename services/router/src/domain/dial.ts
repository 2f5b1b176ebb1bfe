import { FrameError, WireCode } from "@sallyport/frame";
import type { Decision } from "@sallyport/policy-engine";
import { type Refusal, type StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import { Circuit, type CircuitEnd, type CircuitSide } from "./circuit.ts";
import type { HostEntry } from "./host-entry.ts";
import type { Party } from "./party.ts";
import { hostRefusal, refusal, routerRefusal } from "./refusal.ts";
import type { OfferedSlot, OpeningSlot, TunnelPort } from "./tunnel-port.ts";

export interface DialInit {
  readonly circuitId: string;
  readonly open: StreamOpen;
  /** This router's allow: the reason why the host may hear of this dial at all. */
  readonly decision: Decision;
  /** What both ends of the circuit are told: the decision of the router that has the dialer's tunnel. */
  readonly told: Pick<Decision, "decisionId" | "sliceVersion">;
  readonly dialer: CircuitSide & { readonly port: TunnelPort };
  /** Best first. */
  readonly candidates: readonly HostEntry[];
  /** What is told when there are none. */
  readonly otherwise: Refusal;
  readonly limits: { readonly hostAnswerMs: number; readonly maxHostAttempts: number };
  readonly observer: DialObserver;
}

export interface DialObserver {
  dialOpened(dial: Dial, circuit: Circuit, host: HostEntry): void;
  /** `decision` is the last one on this dial: an allow when it failed for another reason. */
  dialRefused(dial: Dial, refusal: Refusal, decision: Decision): void;
  /** The dialer gave up, or its tunnel is gone. */
  dialCancelled(dial: Dial): void;
  circuitEnded(circuit: Circuit, end: CircuitEnd, host: HostEntry): void;
}

/** Answers after which another host is asked. */
const hostIsBusy: ReadonlySet<string> = new Set(["DRAINING", "OVERLOADED"]);
const routerHasNone: ReadonlySet<string> = new Set([...hostIsBusy, "NO_HOST", "HOST_DOWN", "HEAD_STALE"]);

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "asking"; readonly host: HostEntry; readonly streamId: number; readonly timer: NodeJS.Timeout }
  | { readonly kind: "over" };

/**
 * From an allowed OPEN to its answer. Hosts are asked one after the other: the next one only when the last is gone, draining or full, since any other
 * answer is an answer. Everything happens in the call of the frame that causes it, so that the frame behind an ACCEPT finds the circuit joined.
 */
export class Dial {
  readonly circuitId: string;
  readonly service: string;
  readonly decision: Decision;
  readonly dialer: Party;
  readonly dialerPort: TunnelPort;
  readonly #init: DialInit;
  readonly #startedAtMs: number = performance.now();
  #candidates: readonly HostEntry[];
  #attempts = 0;
  #phase: Phase = { kind: "idle" };

  constructor(init: DialInit) {
    this.#init = init;
    this.circuitId = init.circuitId;
    this.service = init.open.service;
    this.decision = init.decision;
    this.dialer = init.dialer.party;
    this.dialerPort = init.dialer.port;
    this.#candidates = init.candidates;
  }

  get durationUs(): number {
    return Math.round((performance.now() - this.#startedAtMs) * 1_000);
  }

  /** The dialer's side of the stream while nobody has answered. */
  get slot(): OpeningSlot {
    return { kind: "opening", cancelled: () => this.#cancelled() };
  }

  start(): void {
    this.#askNext(this.#withDecision(this.#init.otherwise));
  }

  /** Refuses what was not answered yet, such as when policy changed meanwhile. */
  refuse(why: Refusal, decision: Decision = this.decision): void {
    if (this.#phase.kind === "over") return;
    this.#takeBack(decision.decision === "deny" ? WireCode.revoked : WireCode.cancelled);
    this.#phase = { kind: "over" };
    const { port, streamId } = this.#init.dialer;
    port.release(streamId);
    port.refuse(streamId, why);
    this.#init.observer.dialRefused(this, why, decision);
  }

  #askNext(otherwise: Refusal): void {
    this.#phase = { kind: "idle" };
    const next = this.#candidates.findIndex((entry) => entry.port.takesStreams);
    const host = this.#candidates[next];
    this.#candidates = this.#candidates.slice(next + 1);
    if (host === undefined || this.#attempts >= this.#init.limits.maxHostAttempts) return this.refuse(otherwise);
    this.#attempts += 1;
    const streamId = host.port.offer(this.#openFor(host), this.#offered(host));
    if (streamId === null) return this.#askNext(refusal("OVERLOADED", "Too many streams towards the host."));
    const timer = setTimeout(() => this.#unanswered(), this.#init.limits.hostAnswerMs).unref();
    this.#phase = { kind: "asking", host, streamId, timer };
  }

  /** Another router judges the dialer by itself, so it is told who that is; a host is not. */
  #openFor({ party }: HostEntry): StreamOpen {
    const { open, told, dialer } = this.#init;
    const { identity, serial, issuers } = dialer.party;
    const forRouter = { dialerSerial: serial, dialerIssuers: [...issuers], hostId: party.identity.id.uri };
    return StreamOpen.create({
      service: open.service,
      circuitNonce: open.circuitNonce,
      dialerId: identity.id.uri,
      sliceVersion: told.sliceVersion,
      decisionId: told.decisionId,
      circuitId: this.circuitId,
      ...(party.routerId === null ? {} : forRouter),
    });
  }

  #offered(host: HostEntry): OfferedSlot {
    const ifAsking = (act: () => void): void => {
      if (this.#phase.kind !== "asking" || this.#phase.host !== host) return;
      clearTimeout(this.#phase.timer);
      act();
    };
    return {
      kind: "offered",
      accepted: (accept) => ifAsking(() => this.#accepted(accept)),
      refused: (said) => ifAsking(() => this.#refused(host.party, said)),
      gone: () => ifAsking(() => this.#askNext(this.#noHost(`The host of "${this.service}" went away.`))),
    };
  }

  /** A router that asks over a link is told the code as it is, so that it can tell whether another host is worth asking. */
  #refused({ routerId }: Party, said: Refusal): void {
    const asIs = routerId !== null || this.dialer.routerId !== null;
    const elsewhere = routerId === null ? hostIsBusy : routerHasNone;
    if (elsewhere.has(said.code)) return this.#askNext(asIs ? routerRefusal(said) : hostRefusal(said));
    this.#answered(routerId === null ? hostRefusal(said) : routerRefusal(said));
  }

  #accepted(accept: StreamAccept): void {
    if (this.#phase.kind !== "asking") return;
    const { host, streamId } = this.#phase;
    const hostId = host.party.identity.id.uri;
    if (host.party.routerId !== null && accept.hostId !== hostId)
      throw new FrameError("PAYLOAD_INVALID", "A router accepted for another host than it was asked for.");
    this.#phase = { kind: "over" };
    const { dialer, decision, told, observer } = this.#init;
    const circuit = new Circuit({
      circuitId: this.circuitId,
      service: this.service,
      decision,
      dialer,
      host: { party: host.party, port: host.port, streamId },
      onEnd: (ended, end) => observer.circuitEnded(ended, end, host),
    });
    dialer.port.join(circuit.dialerLeg, circuit);
    host.port.join(circuit.hostLeg, circuit);
    const { decisionId, sliceVersion } = told;
    dialer.port.accept(dialer.streamId, { circuitId: this.circuitId, sliceVersion, decisionId, hostId });
    observer.dialOpened(this, circuit, host);
  }

  #noHost(message: string): Refusal {
    return this.#withDecision(refusal("NO_HOST", message));
  }

  /** Policy was asked, and said yes: its decision's id joins what both ends record. */
  #withDecision(told: Refusal): Refusal {
    const { decisionId, sliceVersion } = this.decision;
    return { ...told, decisionId, sliceVersion };
  }

  #answered(why: Refusal): void {
    this.#phase = { kind: "idle" };
    this.refuse(why);
  }

  #unanswered(): void {
    this.#takeBack(WireCode.unresponsive);
    this.#answered(this.#noHost(`The host of "${this.service}" did not answer in time.`));
  }

  #cancelled(): void {
    if (this.#phase.kind === "over") return;
    this.#takeBack(WireCode.cancelled);
    this.#phase = { kind: "over" };
    this.dialerPort.release(this.#init.dialer.streamId);
    this.#init.observer.dialCancelled(this);
  }

  /** Tells a host that was asked that the answer is not wanted any more. */
  #takeBack(wireCode: number): void {
    if (this.#phase.kind !== "asking") return;
    const { host, streamId, timer } = this.#phase;
    clearTimeout(timer);
    host.port.release(streamId);
    host.port.reset(streamId, wireCode);
    this.#phase = { kind: "idle" };
  }
}
