import type { SvidSource } from "@sallyport/identity";
import type { Decision, PolicyChange, PolicyState } from "@sallyport/policy-engine";
import { decidePeer } from "./peer-check.ts";
import type { Circuit } from "./circuit.ts";

/** What a timer can wait for at most; longer lives are looked at again. */
const maxTimerMs = 2 ** 31 - 1;

type Alarm =
  | { readonly kind: "none" }
  /** For the first of the ends that are known. */
  | { readonly kind: "set"; readonly at: number; readonly timer: NodeJS.Timeout };

/**
 * Holds live circuits against policy and against the clock: at each change of policy that can matter for it the other end is judged again, and no circuit
 * outlives the certificate of either end.
 */
export class CircuitWatch implements Disposable {
  readonly #policy: PolicyState;
  readonly #identity: SvidSource;
  /** With the time at which the first of its two certificates ends. */
  readonly #circuits = new Map<Circuit, number>();
  readonly #unsubscribe: () => void;
  #alarm: Alarm = { kind: "none" };

  constructor(policy: PolicyState, identity: SvidSource) {
    this.#policy = policy;
    this.#identity = identity;
    this.#unsubscribe = policy.onChange((change) => this.#judgeAfter(change));
  }

  get circuits(): readonly Circuit[] {
    return [...this.#circuits.keys()];
  }

  add(circuit: Circuit): void {
    const endsAt = Math.min(circuit.peer.notAfter.getTime(), this.#identity.current().notAfter.getTime());
    this.#circuits.set(circuit, endsAt);
    void circuit.closedBy.then(() => this.#circuits.delete(circuit));
    this.#setAlarm(endsAt);
    this.#judge(circuit);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    if (this.#alarm.kind === "set") clearTimeout(this.#alarm.timer);
  }

  #setAlarm(at: number): void {
    if (this.#alarm.kind === "set") {
      if (this.#alarm.at <= at) return;
      clearTimeout(this.#alarm.timer);
    }
    const timer = setTimeout(() => this.#onAlarm(), Math.min(Math.max(at - Date.now(), 0), maxTimerMs));
    timer.unref();
    this.#alarm = { kind: "set", at, timer };
  }

  #onAlarm(): void {
    this.#alarm = { kind: "none" };
    const now = Date.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [circuit, endsAt] of this.#circuits) {
      if (endsAt <= now) circuit.expire();
      else next = Math.min(next, endsAt);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#setAlarm(next);
  }

  #judgeAfter({ services, denyListChanged }: PolicyChange): void {
    const changed = new Set(services);
    for (const circuit of this.#circuits.keys()) {
      if (changed.has(circuit.service) || (denyListChanged && this.#policy.denied(circuit.peer) !== null))
        this.#judge(circuit);
    }
  }

  #judge(circuit: Circuit): void {
    const decision = decidePeer(
      this.#policy,
      circuit.role === "dialer" ? "host" : "dialer",
      circuit.peer,
      circuit.service,
    );
    if (isTakenAway(decision)) circuit.revoke(decision);
  }
}

/** A slice that is still on its way (HEAD_STALE) ends nothing: it stops new dials and calls. */
function isTakenAway({ decision, code }: Decision): boolean {
  return decision === "deny" && code !== "HEAD_STALE";
}
