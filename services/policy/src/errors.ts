import { status } from "@grpc/grpc-js";
import { PolicyError } from "@sallyport/policy-engine";
import { RpcError } from "@sallyport/service";

export type PublishingErrorCode =
  /** The bus did not answer, or refused. */
  | "BUS_UNAVAILABLE"
  /** A value of the bucket `policy-source` is not of its form. */
  | "SOURCE_CORRUPT"
  /** Other replicas changed the same thing too often in a row, or what is published is newer than the source. */
  | "CONTENDED"
  /** The own certificate has expired, so that nobody would believe what it signs. */
  | "SVID_EXPIRED";

/** What keeps this process from storing or publishing. */
export class PublishingError extends Error {
  override readonly name = "PublishingError";
  readonly code: PublishingErrorCode;
  readonly remedy: string;

  constructor(code: PublishingErrorCode, message: string, init: { readonly remedy: string; readonly cause?: unknown }) {
    super(message, { cause: init.cause });
    this.code = code;
    this.remedy = init.remedy;
  }
}

/** What the author of a policy did wrong or the bus did not do, as an error of the API; every other fault as it is. */
export function rpcErrorFrom(error: unknown): unknown {
  if (error instanceof PublishingError) {
    const { code, message, remedy } = error;
    return new RpcError({ code, status: status.UNAVAILABLE, message, remedy, cause: error });
  }
  if (!(error instanceof PolicyError)) return error;
  const { code, message, field, remedy, file, line, column } = error;
  return new RpcError({
    code,
    status: status.INVALID_ARGUMENT,
    message,
    field: `document${field === undefined ? "" : `.${field}`}`,
    ...(remedy === undefined ? {} : { remedy }),
    metadata: file === undefined ? {} : { file, line: String(line), column: String(column) },
    cause: error,
  });
}

export function documentMissing(): RpcError {
  return new RpcError({
    code: "POLICY_INVALID",
    status: status.INVALID_ARGUMENT,
    message: "There is no document.",
    field: "document",
    remedy: "Send a document, if an empty one.",
  });
}

export function versionConflict(expected: number, actual: number): RpcError {
  return new RpcError({
    code: "VERSION_CONFLICT",
    status: status.ABORTED,
    message: `Version ${actual} is in force, not ${expected}.`,
    field: "expected_version",
    remedy: "Get the policy in force, merge, and apply again.",
    metadata: { version: String(actual) },
  });
}

export function subjectInvalid(field: string, message: string, remedy: string): RpcError {
  return new RpcError({ code: "SUBJECT_INVALID", status: status.INVALID_ARGUMENT, message, field, remedy });
}

export function limitExceeded(message: string, remedy: string, field: string): RpcError {
  return new RpcError({ code: "LIMIT_EXCEEDED", status: status.INVALID_ARGUMENT, message, field, remedy });
}

/** The bus did not take it. What was stored before stays stored, and is published once the bus is back. */
export function notPublished(stored: string, cause: unknown): RpcError {
  return new RpcError({
    code: "NOT_PUBLISHED",
    status: status.UNAVAILABLE,
    message: `${stored}, but could not be published yet.`,
    remedy: "It is published by itself once the bus is reachable; asking again is harmless.",
    cause,
  });
}

export function headUnavailable(): RpcError {
  return new RpcError({
    code: "HEAD_UNAVAILABLE",
    status: status.UNAVAILABLE,
    message: "No head has been published yet.",
    remedy: "Try again in a few seconds.",
  });
}
