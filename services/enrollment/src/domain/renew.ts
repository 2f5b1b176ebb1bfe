/**
 * Renewal, by the holder of a current SVID over its tunnel.
 *
 * 1. Name and instance come from the proven leaf; nothing in the request names anybody.
 * 2. The generation that the caller names must be the last one that was handed out: a copied credential that comes after its original is
 *    refused, and so is the original that comes after its copy. Either way it is on record.
 * 3. A lost answer is repeated with the same new key and the same generation.
 */
import { thumbprint, verifyCsr, type Identity } from "@sallyport/identity";
import type { Principal } from "@sallyport/policy-engine";
import { EnrollmentError } from "../errors.ts";
import type { Certifier, Generation, GenerationStore, Revocations } from "./ports.ts";

type WorkloadIdentity = Extract<Identity, { readonly kind: "workload" }>;

export interface Renewed {
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Buffer[];
  readonly generation: number;
}

export interface RenewDependencies {
  readonly generations: GenerationStore;
  readonly certifier: Certifier;
  readonly revocations: Revocations;
}

/** @throws {EnrollmentError} IDENTITY_REVOKED, REVOCATIONS_UNKNOWN, GENERATION_MISMATCH, STORE_UNAVAILABLE */
export async function renew(
  { generations, certifier, revocations }: RenewDependencies,
  caller: Principal & { readonly identity: WorkloadIdentity },
  request: { readonly csr: Uint8Array; readonly generation: number },
): Promise<Renewed> {
  const { identity } = caller;
  revocations.check(caller);
  const { spki } = await verifyCsr(request.csr);
  const key = thumbprint(spki);
  const current = await generations.get(identity);
  if (current === null) throw mismatch("this instance was never enrolled here");
  const isRepeated = repeatsLast(current.value, request.generation, key);
  const generation = isRepeated ? current.value.generation : current.value.generation + 1;
  const certificateChain = await certifier.certify({ id: identity.id, spki, requestId: `renewal ${generation}` });
  // Counted after the CA answered: a CA that is away costs nobody a generation.
  const counted = isRepeated
    ? current
    : await generations.replace(identity, current.revision, { generation, thumbprint: key });
  if (counted === null) throw mismatch("another renewal of this instance came first");
  return { certificateChain, generation };
}

/** Whether the request repeats the last renewal. @throws {EnrollmentError} when it neither does nor follows it */
function repeatsLast({ generation, thumbprint: lastKey }: Generation, claimed: number, key: string): boolean {
  if (claimed === generation) return false;
  if (claimed === generation - 1 && key === lastKey) return true;
  throw mismatch(`it names generation ${claimed}, and ${generation} was handed out last`);
}

function mismatch(why: string): EnrollmentError {
  return new EnrollmentError("GENERATION_MISMATCH", `The renewal is refused: ${why}.`, {
    remedy:
      "Enroll again with a new token; if nobody restored a backup, the credential was copied: revoke the instance.",
  });
}
