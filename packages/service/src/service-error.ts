/** Stable codes of faults that concern a process as a whole. */
export type ServiceErrorCode =
  | "CONFIG_INVALID"
  | "BOOTSTRAP_INVALID"
  | "CA_ANSWER_INVALID"
  | "BUS_UNAVAILABLE"
  | "LISTEN_FAILED"
  | "METHOD_WITHOUT_RULE";

/** A fault of the process: its configuration, its credential, its connections. The message never holds a key or a token. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly code: ServiceErrorCode;
  /** What the operator can do about it, one sentence. */
  readonly remedy: string | undefined;

  constructor(init: {
    readonly code: ServiceErrorCode;
    readonly message: string;
    readonly remedy?: string;
    readonly cause?: unknown;
  }) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.remedy = init.remedy;
  }
}
