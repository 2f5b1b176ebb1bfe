import { status } from "@grpc/grpc-js";
import { RpcError } from "@sallyport/service";
import { AuditError } from "../errors.ts";

/** What a caller is told of a fault here. */
export function rpcErrorOf(error: unknown): unknown {
  if (!(error instanceof AuditError)) return error;
  const { code, message, field, cause } = error;
  switch (code) {
    case "FILTER_INVALID":
      return new RpcError({
        code,
        status: status.INVALID_ARGUMENT,
        message,
        field,
        remedy: `Correct \`${field}\`, or leave it out.`,
        cause,
      });
    case "STORE_UNAVAILABLE":
      return new RpcError({
        code,
        status: status.UNAVAILABLE,
        message,
        remedy: "Try again in a moment; `sallyport status` tells whether the audit service runs.",
        cause,
      });
    case "BUS_UNAVAILABLE":
      return new RpcError({
        code,
        status: status.UNAVAILABLE,
        message,
        remedy: "Check that nats-server runs; blocks wait in their emitters' spools meanwhile.",
        cause,
      });
    case "TAIL_TOO_SLOW":
    case "TAIL_LIMIT_EXCEEDED":
      return new RpcError({
        code,
        status: status.RESOURCE_EXHAUSTED,
        message,
        remedy: "Narrow the filter, and search for what the tail did not show.",
        cause,
      });
    case "STORE_REFUSED":
    case "BLOCK_MISATTRIBUTED":
      return error;
  }
}
