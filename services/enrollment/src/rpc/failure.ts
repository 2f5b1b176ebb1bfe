import { status } from "@grpc/grpc-js";
import { IdentityError } from "@sallyport/identity";
import { RpcError } from "@sallyport/service";
import { EnrollmentError, type EnrollmentErrorCode } from "../errors.ts";

const statuses: Readonly<Record<EnrollmentErrorCode, status>> = {
  NAME_INVALID: status.INVALID_ARGUMENT,
  TTL_OUT_OF_RANGE: status.INVALID_ARGUMENT,
  KEY_THUMBPRINT_INVALID: status.INVALID_ARGUMENT,
  CSR_INVALID: status.INVALID_ARGUMENT,
  TOKEN_UNKNOWN: status.PERMISSION_DENIED,
  TOKEN_EXPIRED: status.PERMISSION_DENIED,
  TOKEN_ALREADY_USED: status.PERMISSION_DENIED,
  TOKEN_KEY_MISMATCH: status.PERMISSION_DENIED,
  IDENTITY_REVOKED: status.PERMISSION_DENIED,
  GENERATION_MISMATCH: status.FAILED_PRECONDITION,
  RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  REVOCATIONS_UNKNOWN: status.UNAVAILABLE,
  STORE_UNAVAILABLE: status.UNAVAILABLE,
};

const fields: Partial<Readonly<Record<EnrollmentErrorCode, string>>> = {
  NAME_INVALID: "workload",
  TTL_OUT_OF_RANGE: "ttl_seconds",
  KEY_THUMBPRINT_INVALID: "key_thumbprint",
  CSR_INVALID: "csr",
  GENERATION_MISMATCH: "generation",
};

/** A refusal by the rules as the caller and the record see it; null for what is no refusal but a fault. */
function refusalOf(error: unknown): RpcError | null {
  if (error instanceof RpcError) return error;
  if (error instanceof IdentityError && (error.code === "CSR_INVALID" || error.code === "PUBLIC_KEY_UNSUPPORTED")) {
    return refusal("CSR_INVALID", error.message, "Send a PKCS#10 request for a P-256 key, signed by that key.", error);
  }
  return error instanceof EnrollmentError ? refusal(error.code, error.message, error.remedy, error) : null;
}

function refusal(code: EnrollmentErrorCode, message: string, remedy: string, cause: Error): RpcError {
  return new RpcError({ code, message, remedy, cause, status: statuses[code], field: fields[code] ?? "" });
}

/** Runs a handler and gives its refusals the status and code that enrollment.proto promises. */
export async function answering<T>(
  handle: () => Promise<T>,
  onRefusal: (refusal: RpcError) => Promise<void> | void = () => undefined,
): Promise<T> {
  try {
    return await handle();
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    await onRefusal(refusal);
    throw refusal;
  }
}
