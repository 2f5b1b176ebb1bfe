import type { SvidSource } from "@sallyport/identity";
import type { Decision, PolicyState } from "@sallyport/policy-engine";
import { decidePeer } from "./peer-check.ts";
import type { Circuit } from "./circuit.ts";

/** What a timer can wait for at most; longer lives are looked at again. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Holds live circuits against policy and against the clock: at each change of policy the other end is judged again, and no circuit
 * outlives the certificate of either end.
 */
export class CircuitWatch implements Disposable {
  readonly #policy: PolicyState;
  readonly #identity: SvidSource;
  readonly #circuits = new Map<Circuit, NodeJS.Timeout>();
  readonly #unsubscribe: () => void;

  constructor(policy: PolicyState, identity: SvidSource) {
    this.#policy = policy;
    this.#identity = identity;
    this.#unsubscribe = policy.onChange(() => this.#judgeAll());
  }

  get circuits(): readonly Circuit[] {
    return [...this.#circuits.keys()];
  }

  add(circuit: Circuit): void {
    const endsAt = Math.min(circuit.peer.notAfter.getTime(), this.#identity.current().notAfter.getTime());
    this.#arm(circuit, endsAt);
    void circuit.closedBy.then(() => {
      clearTimeout(this.#circuits.get(circuit));
      this.#circuits.delete(circuit);
    });
    this.#judge(circuit);
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    for (const timer of this.#circuits.values()) clearTimeout(timer);
  }

  #arm(circuit: Circuit, endsAt: number): void {
    const leftMs = endsAt - Date.now();
    const timer = setTimeout(
      () => (leftMs > maxTimerMs ? this.#arm(circuit, endsAt) : circuit.expire()),
      Math.min(Math.max(leftMs, 0), maxTimerMs),
    );
    timer.unref();
    this.#circuits.set(circuit, timer);
  }

  #judgeAll(): void {
    for (const circuit of this.#circuits.keys()) this.#judge(circuit);
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
