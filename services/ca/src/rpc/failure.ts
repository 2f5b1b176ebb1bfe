import { status } from "@grpc/grpc-js";
import { IdentityError } from "@sallyport/identity";
import { RpcError } from "@sallyport/service";
import { CaError } from "../errors.ts";

/** Runs a handler and gives what it throws the status and code that ca.proto promises. Other faults stay what they are. */
export async function answering<T>(handle: () => Promise<T>): Promise<T> {
  try {
    return await handle();
  } catch (error) {
    throw failureOf(error);
  }
}

function failureOf(error: unknown): unknown {
  if (error instanceof IdentityError) return identityFailure(error);
  if (!(error instanceof CaError)) return error;
  const { code, message, remedy } = error;
  switch (code) {
    case "SPIFFE_ID_INVALID":
      return new RpcError({ code, message, remedy, status: status.INVALID_ARGUMENT, field: "spiffe_id" });
    case "TTL_OUT_OF_RANGE":
      return new RpcError({ code, message, remedy, status: status.INVALID_ARGUMENT, field: "ttl_seconds" });
    case "REQUEST_ID_INVALID":
      return new RpcError({ code, message, remedy, status: status.INVALID_ARGUMENT, field: "request_id" });
    case "BOOTSTRAP_UNKNOWN":
      return new RpcError({ code, message, remedy, status: status.PERMISSION_DENIED });
    case "LOG_UNAVAILABLE":
      return new RpcError({ code, message, remedy, status: status.UNAVAILABLE, cause: error });
    case "LOG_CORRUPT":
    case "STATE_INVALID":
      return error;
  }
}

function identityFailure(error: IdentityError): unknown {
  const { code, message } = error;
  if (code === "CSR_INVALID")
    return new RpcError({
      code,
      message,
      status: status.INVALID_ARGUMENT,
      field: "csr",
      remedy: "Send a PKCS#10 request (RFC 2986) in DER for a P-256 key, signed by that key.",
    });
  if (code === "PUBLIC_KEY_UNSUPPORTED")
    return new RpcError({ code, message, status: status.INVALID_ARGUMENT, remedy: "Use a P-256 key." });
  return error;
}
