import { Metadata, status, type ServiceError as GrpcError, type StatusObject } from "@grpc/grpc-js";
import { ErrorDetail } from "@sallyport/proto/errors";
import { Status } from "@sallyport/proto/status";
import { RpcError } from "./rpc-error.ts";

const DETAILS_TRAILER = "grpc-status-details-bin";
const ERROR_DETAIL_TYPE = "type.googleapis.com/sallyport.errors.v1.ErrorDetail";

/** The answer for anything thrown by a handler. What is not an RpcError says nothing of itself to the caller. */
export function statusOf(error: unknown): StatusObject {
  const rpcError =
    error instanceof RpcError
      ? error
      : new RpcError({
          code: "INTERNAL",
          status: status.INTERNAL,
          message: "The service failed while it handled this call.",
          remedy: "See the service's log at the time of the call.",
        });
  const { code, field, remedy, decisionId, metadata } = rpcError;
  const detail = ErrorDetail.encode({ code, field, remedy, decisionId, metadata: { ...metadata } }).finish();
  const encoded = Status.encode({
    code: rpcError.status,
    message: rpcError.message,
    details: [{ typeUrl: ERROR_DETAIL_TYPE, value: Buffer.from(detail) }],
  }).finish();
  const trailer = new Metadata();
  trailer.set(DETAILS_TRAILER, Buffer.from(encoded));
  return { code: rpcError.status, details: rpcError.message, metadata: trailer };
}

/** The error of a failed call as its service meant it; without a detail the code is the gRPC status's name (`UNAVAILABLE`). */
export function rpcErrorOf(error: GrpcError): RpcError {
  const detail = errorDetailOf(error.metadata);
  return new RpcError({
    code: detail?.code ?? status[error.code] ?? "UNKNOWN",
    status: error.code,
    // The library's own text for this tells of its load balancer.
    message: detail === undefined && error.code === status.DEADLINE_EXCEEDED ? "no answer in time" : error.details,
    ...(detail === undefined
      ? {}
      : { field: detail.field, remedy: detail.remedy, decisionId: detail.decisionId, metadata: detail.metadata }),
    cause: error,
  });
}

function errorDetailOf(trailer: Metadata | undefined): ErrorDetail | undefined {
  const value = trailer?.get(DETAILS_TRAILER)[0];
  if (!(value instanceof Buffer)) return undefined;
  const detail = Status.decode(value).details.find((any) => any.typeUrl === ERROR_DETAIL_TYPE);
  return detail === undefined ? undefined : ErrorDetail.decode(detail.value);
}
