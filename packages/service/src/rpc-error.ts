import type { status } from "@grpc/grpc-js";

export interface RpcErrorInit {
  /** Stable, SCREAMING_SNAKE_CASE, from the method's documentation in proto/. */
  readonly code: string;
  readonly status: status;
  readonly message: string;
  /** Request field at fault, dotted. */
  readonly field?: string;
  /** What the caller can do, one sentence. */
  readonly remedy?: string;
  /** Facts that a program may show. Never a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly decisionId?: string;
  readonly cause?: unknown;
}

/** A failed call, the same on both ends: a handler throws it, a caller catches it (`sallyport.errors.v1.ErrorDetail`). */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: string;
  readonly status: status;
  readonly field: string;
  readonly remedy: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly decisionId: string;

  constructor(init: RpcErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.status = init.status;
    this.field = init.field ?? "";
    this.remedy = init.remedy ?? "";
    this.metadata = init.metadata ?? {};
    this.decisionId = init.decisionId ?? "";
  }
}
