import type { HostResult, Refusal } from "@sallyport/proto/tunnel";
import type { Circuit } from "../circuit/circuit.ts";
import { refusalError } from "../errors.ts";

export type HostProtocol = "mcp" | "tcp";

/** What the router says about an offer to host. It says it again whenever policy changes it. */
export type HostingStatus =
  | { readonly kind: "announcing" }
  | { readonly kind: "hosted" }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** An offer to host a service, renewed on every tunnel until it is closed. */
export class Hosting implements AsyncDisposable {
  readonly service: string;
  readonly protocol: HostProtocol;
  readonly #onCircuit: (circuit: Circuit) => void;
  readonly #withdraw: (hosting: Hosting) => void;
  readonly #circuits = new Set<Circuit>();
  readonly #maxCircuits: number;
  /** Circuits that are being made. */
  #pending = 0;
  readonly #first: PromiseWithResolvers<void> = Promise.withResolvers();
  #status: HostingStatus = { kind: "announcing" };

  constructor(
    service: string,
    protocol: HostProtocol,
    onCircuit: (circuit: Circuit) => void,
    withdraw: (hosting: Hosting) => void,
    maxCircuits: number,
  ) {
    this.#maxCircuits = maxCircuits;
    this.service = service;
    this.protocol = protocol;
    this.#onCircuit = onCircuit;
    this.#withdraw = withdraw;
    this.#first.promise.catch(() => undefined);
  }

  /** Resolves when a router first takes the offer; rejects with HOST_REFUSED when it first refuses. The offer stands either way. */
  get ready(): Promise<void> {
    return this.#first.promise;
  }

  get status(): HostingStatus {
    return this.#status;
  }

  get circuits(): ReadonlySet<Circuit> {
    return this.#circuits;
  }

  /** Takes the router's answer. */
  answer(result: HostResult): void {
    if (result.accepted) {
      this.#status = { kind: "hosted" };
      this.#first.resolve();
      return;
    }
    const refusal = result.refusal ?? unexplained;
    this.#status = { kind: "refused", refusal };
    this.#first.reject(refusalError("HOST_REFUSED", `Hosting ${this.service} is refused`, refusal));
  }

  /** The tunnel is gone; the next one announces again. */
  lost(): void {
    this.#status = { kind: "announcing" };
  }

  /** Makes room for a circuit that is about to be made; undefined when the limit is reached. */
  reserve(): Disposable | undefined {
    if (this.#circuits.size + this.#pending >= this.#maxCircuits) return undefined;
    this.#pending += 1;
    return { [Symbol.dispose]: () => void (this.#pending -= 1) };
  }

  take(circuit: Circuit): void {
    this.#circuits.add(circuit);
    void circuit.closedBy.then(() => this.#circuits.delete(circuit));
    this.#onCircuit(circuit);
  }

  /** Withdraws the offer and ends its circuits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#withdraw(this);
    const circuits = [...this.#circuits];
    for (const circuit of circuits) circuit.destroy();
    await Promise.all(circuits.map((circuit) => circuit.closedBy));
  }
}

const unexplained: Refusal = {
  code: "HOST_REFUSED",
  message: "no reason was given",
  decisionId: "",
  ruleIds: [],
  sliceVersion: 0,
};
