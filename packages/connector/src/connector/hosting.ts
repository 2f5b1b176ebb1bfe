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
  #accepted = false;
  #protocolInPolicy: string | undefined;

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

  /**
   * Resolves when a router first takes the offer and policy says that the service speaks `protocol`; rejects with HOST_REFUSED when either
   * first says otherwise. The offer stands either way.
   */
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
    this.#accepted = result.accepted;
    if (result.accepted) this.#judge();
    else this.#refuse(result.refusal ?? unexplained);
  }

  /** Takes what policy says that the service speaks. */
  learn(protocolInPolicy: string): void {
    if (this.#protocolInPolicy === protocolInPolicy) return;
    this.#protocolInPolicy = protocolInPolicy;
    this.#judge();
  }

  /**
   * Why this host must not serve the service; undefined while nothing speaks against it. What is enforced inside a circuit depends on the
   * protocol: tools of a service that is hosted as plain TCP would be everybody's.
   */
  get protocolRefusal(): Refusal | undefined {
    if (this.#protocolInPolicy === undefined || this.#protocolInPolicy === this.protocol) return undefined;
    const message = `policy says that ${this.service} speaks ${this.#protocolInPolicy}, and this host offers ${this.protocol}`;
    return { ...unexplained, message };
  }

  #judge(): void {
    const refusal = this.protocolRefusal;
    if (refusal !== undefined) this.#refuse(refusal);
    else if (this.#accepted && this.#protocolInPolicy !== undefined) {
      this.#status = { kind: "hosted" };
      this.#first.resolve();
    }
  }

  #refuse(refusal: Refusal): void {
    this.#status = { kind: "refused", refusal };
    this.#first.reject(refusalError("HOST_REFUSED", `Hosting ${this.service} is refused`, refusal));
  }

  /** The tunnel is gone; the next one announces again. */
  lost(): void {
    this.#accepted = false;
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
