/**
 * Built-in stream `sallyport.policy`: what a workload needs of policy to check this router's word.
 *
 *   1. Every envelope is passed on as policy signed it. The router adds nothing that the workload would have to believe.
 *   2. A slice goes only to workloads that may dial or host its service. For any other name the answer is `slice_removed`, whether it exists or not.
 *   3. Slices go out before the head that lists them, which names no service; the deny-list goes out at once.
 *   4. A stale head takes nothing away: what is visible stays as it was.
 */
import type { Peer } from "@sallyport/mtls";
import type { SignedEnvelope } from "@sallyport/proto/policy";
import { PolicyInterest, PolicyUpdate } from "@sallyport/proto/tunnel";
import { readMessage, writeMessage } from "@sallyport/tunnel";
import type { Duplex } from "node:stream";
import type { PolicyMirror } from "../store/policy-mirror.ts";

/** Names in one interest: what a tunnel may host, and as many to dial. */
const maxServices = 128;
const maxInterestBytes = 16_384;

type Told = SignedEnvelope | "removed";

/** Serves one stream until its end. Rejects when it breaks. */
export async function servePolicy(stream: Duplex, peer: Peer, mirror: PolicyMirror): Promise<void> {
  const teller = new PolicyTeller(stream, peer, mirror);
  using _subscription = teller.follow();
  for (;;) {
    const interest = await readMessage(stream, PolicyInterest, { maxBytes: maxInterestBytes });
    if (interest === null) break;
    if (interest.services.length > maxServices) throw new Error(`an interest in more than ${maxServices} services`);
    teller.setInterest(interest.services);
  }
  stream.end();
}

class PolicyTeller {
  readonly #stream: Duplex;
  readonly #peer: Peer;
  readonly #mirror: PolicyMirror;
  #told = new Map<string, Told | null>();
  #toldDenyList: SignedEnvelope | null = null;
  #toldHead: SignedEnvelope | null = null;
  #telling: Promise<void> | null = null;
  #again = false;

  constructor(stream: Duplex, peer: Peer, mirror: PolicyMirror) {
    this.#stream = stream;
    this.#peer = peer;
    this.#mirror = mirror;
  }

  follow(): Disposable {
    const stop = this.#mirror.onChange(() => this.#tell());
    return { [Symbol.dispose]: stop };
  }

  /** Replaces the interest. The head is told again after it, so that the workload knows that the answer is whole. */
  setInterest(services: readonly string[]): void {
    this.#told = new Map(services.map((service) => [service, this.#told.get(service) ?? null]));
    this.#toldHead = null;
    this.#tell();
  }

  /** One telling at a time, each as far as the workload takes it: a slow reader gets the newest state later, not a growing queue. */
  #tell(): void {
    this.#again = true;
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = null;
    });
    this.#telling.catch((error: unknown) =>
      this.#stream.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  async #tellAll(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#tellDenyList();
      for (const service of this.#told.keys()) await this.#tellSlice(service);
      await this.#tellHead();
    }
  }

  async #tellDenyList(): Promise<void> {
    const { denyList } = this.#mirror;
    if (denyList === null || isSame(denyList, this.#toldDenyList)) return;
    this.#toldDenyList = denyList;
    await this.#send({ update: { $case: "denyList", value: denyList } });
  }

  async #tellSlice(service: string): Promise<void> {
    const before = this.#told.get(service) ?? null;
    const now = this.#visible(service, before);
    if (isSame(now, before)) return;
    this.#told.set(service, now);
    if (now === "removed") await this.#send({ update: { $case: "sliceRemoved", value: service } });
    else if (now !== null) await this.#send({ update: { $case: "slice", value: now } });
  }

  async #tellHead(): Promise<void> {
    const { head } = this.#mirror;
    if (head === null || isSame(head, this.#toldHead)) return;
    this.#toldHead = head;
    await this.#send({ update: { $case: "head", value: head } });
  }

  #visible(service: string, before: Told | null): Told | null {
    const { state } = this.#mirror;
    const decisions = [state.decideDial(this.#peer, service), state.decideHost(this.#peer, service)];
    if (decisions.some(({ decision }) => decision === "allow")) return this.#mirror.slice(service) ?? "removed";
    return decisions.some(({ code }) => code === "HEAD_STALE") ? before : "removed"; // 4
  }

  async #send(update: PolicyUpdate): Promise<void> {
    await writeMessage(this.#stream, PolicyUpdate, update);
  }
}

/** By payload: an envelope that policy signed anew says nothing new to who has verified it once. */
function isSame(one: Told | null, other: Told | null): boolean {
  if (one === null || other === null || one === "removed" || other === "removed") return one === other;
  return Buffer.compare(one.payload, other.payload) === 0;
}
