import { PolicyError } from "@sallyport/policy-engine";
import { Head, type SignedEnvelope } from "@sallyport/proto/policy";

/**
 * What one router has passed on of policy, on one tunnel. It tells a lie from a delay: of two honest routers one may be late, so that what it sends is
 * older than what the other sent already; but no honest router goes behind its own last head, or passes on what policy did not sign.
 */
export class PolicyWord {
  #newestHead = 0;

  /** @param error why `envelope` was not taken; undefined when it was */
  isLie(kind: "slice" | "denyList" | "head", envelope: SignedEnvelope, error?: unknown): error is PolicyError {
    if (error !== undefined) {
      if (!(error instanceof PolicyError)) return false;
      // The clock of one of us is wrong.
      if (error.code === "HEAD_FROM_FUTURE") return false;
      if (error.code !== "REPLAYED") return true;
    }
    if (kind !== "head") return false;
    // Its signature is checked by now: what is too old is refused after that.
    const { sequence } = Head.decode(envelope.payload);
    if (sequence < this.#newestHead) return true;
    this.#newestHead = sequence;
    return false;
  }
}
