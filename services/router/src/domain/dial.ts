import { randomUUID } from "node:crypto";
import { WireCode } from "@sallyport/frame";
import type { Decision } from "@sallyport/policy-engine";
import { type Refusal, StreamOpen } from "@sallyport/proto/tunnel";
import { Circuit, type CircuitEnd } from "./circuit.ts";
import type { HostEntry } from "./host-registry.ts";
import { hostRefusal, refusal } from "./refusal.ts";
import type { OfferedSlot, OpeningSlot, TunnelPort } from "./tunnel-port.ts";

export interface DialInit {
  readonly open: StreamOpen;
  /** An allow: the reason why the host may hear of this dial at all. */
  readonly decision: Decision;
  readonly dialer: TunnelPort;
  readonly dialerStreamId: number;
  /** Best first. */
  readonly candidates: readonly HostEntry<TunnelPort>[];
  readonly limits: { readonly hostAnswerMs: number; readonly maxHostAttempts: number };
  readonly observer: DialObserver;
}

export interface DialObserver {
  dialOpened(dial: Dial, circuit: Circuit): void;
  /** `decision` is the last one on this dial: an allow when it failed for another reason. */
  dialRefused(dial: Dial, refusal: Refusal, decision: Decision): void;
  /** The dialer gave up, or its tunnel is gone. */
  dialCancelled(dial: Dial): void;
  circuitEnded(circuit: Circuit, end: CircuitEnd): void;
}

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "asking"; readonly host: TunnelPort; readonly streamId: number; readonly timer: NodeJS.Timeout }
  | { readonly kind: "over" };

/**
 * From an allowed OPEN to its answer. Hosts are asked one after the other: the next one only when the last is gone, draining or full, since any other
 * answer is an answer. Everything happens in the call of the frame that causes it, so that the frame behind an ACCEPT finds the circuit joined.
 */
export class Dial {
  readonly circuitId: string = randomUUID();
  readonly service: string;
  readonly decision: Decision;
  readonly dialer: TunnelPort;
  readonly #init: DialInit;
  readonly #startedAtMs: number = performance.now();
  #candidates: readonly HostEntry<TunnelPort>[];
  #attempts = 0;
  #phase: Phase = { kind: "idle" };

  constructor(init: DialInit) {
    this.#init = init;
    this.service = init.open.service;
    this.decision = init.decision;
    this.dialer = init.dialer;
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
    this.#askNext(this.#noHost(`No host of "${this.service}" is connected to this router.`));
  }

  /** Refuses what was not answered yet, such as when policy changed meanwhile. */
  refuse(why: Refusal, decision: Decision = this.decision): void {
    if (this.#phase.kind === "over") return;
    this.#takeBack(WireCode.revoked);
    this.#phase = { kind: "over" };
    this.dialer.release(this.#init.dialerStreamId);
    this.dialer.refuse(this.#init.dialerStreamId, why);
    this.#init.observer.dialRefused(this, why, decision);
  }

  #askNext(otherwise: Refusal): void {
    this.#phase = { kind: "idle" };
    const next = this.#candidates.findIndex((entry) => entry.tunnel.takesStreams);
    const host = this.#candidates[next]?.tunnel;
    this.#candidates = this.#candidates.slice(next + 1);
    if (host === undefined || this.#attempts >= this.#init.limits.maxHostAttempts) return this.refuse(otherwise);
    this.#attempts += 1;
    const streamId = host.offer(this.#openForHost(), this.#offered(host));
    if (streamId === null) return this.#askNext(otherwise);
    const timer = setTimeout(() => this.#unanswered(), this.#init.limits.hostAnswerMs).unref();
    this.#phase = { kind: "asking", host, streamId, timer };
  }

  #openForHost(): StreamOpen {
    const { open, decision, dialer } = this.#init;
    return StreamOpen.create({
      service: open.service,
      circuitNonce: open.circuitNonce,
      dialerId: dialer.peer.identity.id.uri,
      sliceVersion: decision.sliceVersion,
      decisionId: decision.decisionId,
      circuitId: this.circuitId,
    });
  }

  #offered(host: TunnelPort): OfferedSlot {
    const ifAsking = (act: () => void): void => {
      if (this.#phase.kind !== "asking" || this.#phase.host !== host) return;
      clearTimeout(this.#phase.timer);
      act();
    };
    return {
      kind: "offered",
      accepted: () => ifAsking(() => this.#accepted()),
      refused: (said) =>
        ifAsking(() => {
          const elsewhere = said.code === "DRAINING" || said.code === "OVERLOADED";
          if (elsewhere) this.#askNext(hostRefusal(said));
          else this.#answered(hostRefusal(said));
        }),
      gone: () => ifAsking(() => this.#askNext(this.#noHost(`The host of "${this.service}" went away.`))),
    };
  }

  #accepted(): void {
    if (this.#phase.kind !== "asking") return;
    const { host, streamId } = this.#phase;
    this.#phase = { kind: "over" };
    const { dialer, dialerStreamId, decision, observer } = this.#init;
    const circuit = new Circuit({
      circuitId: this.circuitId,
      service: this.service,
      decision,
      dialer,
      dialerStreamId,
      host,
      hostStreamId: streamId,
      onEnd: (ended, end) => observer.circuitEnded(ended, end),
    });
    dialer.join(circuit.dialerLeg, circuit);
    host.join(circuit.hostLeg, circuit);
    dialer.accept(dialerStreamId, {
      circuitId: this.circuitId,
      sliceVersion: decision.sliceVersion,
      decisionId: decision.decisionId,
      hostId: host.peer.identity.id.uri,
    });
    observer.dialOpened(this, circuit);
  }

  /** Policy was asked, and said yes: its decision's id joins what both ends record. */
  #noHost(message: string): Refusal {
    const { decisionId, sliceVersion } = this.decision;
    return { ...refusal("NO_HOST", message), decisionId, sliceVersion };
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
    this.dialer.release(this.#init.dialerStreamId);
    this.#init.observer.dialCancelled(this);
  }

  /** Tells a host that was asked that the answer is not wanted any more. */
  #takeBack(wireCode: number): void {
    if (this.#phase.kind !== "asking") return;
    const { host, streamId, timer } = this.#phase;
    clearTimeout(timer);
    host.release(streamId);
    host.reset(streamId, wireCode);
    this.#phase = { kind: "idle" };
  }
}
