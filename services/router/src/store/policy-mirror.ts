import {
  DENY_LIST_TYPE,
  HEAD_TYPE,
  PolicyState,
  SLICE_TYPE,
  type PolicyChange,
  type PolicyStateOptions,
} from "@sallyport/policy-engine";
import { Slice, type SignedEnvelope } from "@sallyport/proto/policy";

/**
 * Policy in this router's memory, twice: as the state that decides, and as the signed envelopes that workloads are given, byte for byte as policy
 * signed them. An envelope is kept only once the state has verified it.
 */
export class PolicyMirror {
  readonly state: PolicyState;
  readonly #slices = new Map<string, SignedEnvelope>();
  readonly #listeners = new Set<(change: PolicyChange) => void>();
  #denyList: SignedEnvelope | null = null;
  #head: SignedEnvelope | null = null;

  constructor(options: Omit<PolicyStateOptions, "scope">) {
    this.state = new PolicyState({ ...options, scope: "all" });
  }

  get denyList(): SignedEnvelope | null {
    return this.#denyList;
  }

  get head(): SignedEnvelope | null {
    return this.#head;
  }

  slice(service: string): SignedEnvelope | null {
    return this.#slices.get(service) ?? null;
  }

  /** Throws PolicyError for what the state refuses; nothing has changed then. */
  apply(envelope: SignedEnvelope): PolicyChange {
    const change = this.state.apply(envelope);
    switch (envelope.payloadType) {
      case SLICE_TYPE:
        this.#slices.set(Slice.decode(envelope.payload).service, envelope);
        break;
      case DENY_LIST_TYPE:
        this.#denyList = envelope;
        break;
      case HEAD_TYPE:
        this.#head = envelope;
        break;
    }
    return this.#announce(change);
  }

  /** By the word of the bus, which can only take rights away by it. */
  removeSlice(service: string): PolicyChange {
    const change = this.state.removeSlice(service);
    this.#slices.delete(service);
    return this.#announce(change);
  }

  /** Calls back after each envelope that changed something, in order of registration. The answer ends it. */
  onChange(listener: (change: PolicyChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #announce(change: PolicyChange): PolicyChange {
    const changed = change.services.length > 0 || change.denyListChanged || change.headAdvanced;
    if (changed) for (const listener of this.#listeners) listener(change);
    return change;
  }
}
