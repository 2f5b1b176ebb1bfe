import type { HostResult, Precedence, Refusal } from "@sallyport/proto/tunnel";
import type { Circuit } from "../circuit/circuit.ts";
import { refusalError } from "../errors.ts";
import type { HostHealth } from "./host-health.ts";
import type { OpenTunnel } from "./open-tunnel.ts";

export type HostProtocol = "mcp" | "tcp";

/** What routers say about an offer to host. They say it again whenever policy changes it. */
export type HostingStatus =
  | { readonly kind: "announcing" }
  | { readonly kind: "hosted" }
  | { readonly kind: "refused"; readonly refusal: Refusal };

export interface HostingInit {
  readonly service: string;
  readonly protocol: HostProtocol;
  readonly onCircuit: (circuit: Circuit) => void;
  readonly withdraw: (hosting: Hosting) => void;
  readonly maxCircuits: number;
  readonly cost: number;
  readonly precedence: Precedence;
  readonly health: () => Promise<HostHealth>;
}

/** An offer to host a service, renewed on every tunnel until it is closed. */
export class Hosting implements AsyncDisposable {
  readonly service: string;
  readonly protocol: HostProtocol;
  readonly cost: number;
  readonly precedence: Precedence;
  readonly #init: HostingInit;
  readonly #circuits = new Set<Circuit>();
  /** Circuits that are being made. */
  #pending = 0;
  readonly #first: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #answers = new Map<OpenTunnel, HostingStatus>();
  #protocolInPolicy: string | undefined;

  constructor(init: HostingInit) {
    this.#init = init;
    this.service = init.service;
    this.protocol = init.protocol;
    this.cost = init.cost;
    this.precedence = init.precedence;
    this.#first.promise.catch(() => undefined);
  }

  /**
   * Resolves when a router first takes the offer and policy says that the service speaks `protocol`; rejects with HOST_REFUSED when every
   * router that was asked, or policy, first says otherwise. The offer stands either way.
   */
  get ready(): Promise<void> {
    return this.#first.promise;
  }

  /** `hosted` when at least one router took the offer. */
  get status(): HostingStatus {
    const refusal = this.protocolRefusal;
    if (refusal !== undefined) return { kind: "refused", refusal };
    const answers = [...this.#answers.values()];
    const best = answers.find(({ kind }) => kind === "hosted") ?? answers.find(({ kind }) => kind === "announcing");
    if (best?.kind === "hosted" && this.#protocolInPolicy === undefined) return announcing;
    return best ?? answers[0] ?? announcing;
  }

  /** What each router says, by its SPIFFE ID. */
  get answers(): ReadonlyMap<string, HostingStatus> {
    return new Map([...this.#answers].map(([{ router }, answer]) => [router.identity.id.uri, answer]));
  }

  get circuits(): ReadonlySet<Circuit> {
    return this.#circuits;
  }

  /** Whether what is hosted would serve a circuit that came now. */
  async health(): Promise<HostHealth> {
    return await this.#init.health();
  }

  /** The offer was made over this tunnel. */
  announced(over: OpenTunnel): void {
    this.#answers.set(over, announcing);
  }

  /** Takes a router's answer. */
  answer(result: HostResult, over: OpenTunnel): void {
    if (!this.#answers.has(over)) return;
    const refused: HostingStatus = { kind: "refused", refusal: result.refusal ?? unexplained };
    this.#answers.set(over, result.accepted ? { kind: "hosted" } : refused);
    this.#judge();
  }

  /** Takes what policy says that the service speaks. */
  learn(protocolInPolicy: string): void {
    if (this.#protocolInPolicy === protocolInPolicy) return;
    this.#protocolInPolicy = protocolInPolicy;
    this.#judge();
  }

  /** The tunnel is gone; the next one announces again. */
  lost(over: OpenTunnel): void {
    this.#answers.delete(over);
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
    const { status } = this;
    if (status.kind === "hosted") this.#first.resolve();
    else if (status.kind === "refused")
      this.#first.reject(refusalError("HOST_REFUSED", `Hosting ${this.service} is refused`, status.refusal));
  }

  /** Makes room for a circuit that is about to be made; undefined when the limit is reached. */
  reserve(): Disposable | undefined {
    if (this.#circuits.size + this.#pending >= this.#init.maxCircuits) return undefined;
    this.#pending += 1;
    return { [Symbol.dispose]: () => void (this.#pending -= 1) };
  }

  take(circuit: Circuit): void {
    this.#circuits.add(circuit);
    void circuit.closedBy.then(() => this.#circuits.delete(circuit));
    this.#init.onCircuit(circuit);
  }

  /** Withdraws the offer and ends its circuits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#init.withdraw(this);
    const circuits = [...this.#circuits];
    for (const circuit of circuits) circuit.destroy();
    await Promise.all(circuits.map((circuit) => circuit.closedBy));
  }
}

const announcing: HostingStatus = { kind: "announcing" };

const unexplained: Refusal = {
  code: "HOST_REFUSED",
  message: "no reason was given",
  decisionId: "",
  ruleIds: [],
  sliceVersion: 0,
};
