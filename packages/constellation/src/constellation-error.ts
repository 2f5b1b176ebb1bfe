export type ConstellationErrorCode =
  | "STATE_LOCKED"
  | "STATE_INVALID"
  | "STATE_NOT_FOUND"
  | "KEY_MISSING"
  | "PORT_TAKEN"
  | "ADDRESS_INVALID"
  | "ROUTERS_INVALID"
  | "PUBLIC_ADDRESS_MISSING"
  | "NATS_SERVER_MISSING"
  | "PROCESS_FAILED"
  | "START_TIMEOUT"
  | "NETWORK_UNREACHABLE";

/** Why a network could not be made, started or reached. The message never holds a key. */
export class ConstellationError extends Error {
  override readonly name = "ConstellationError";
  readonly code: ConstellationErrorCode;
  /** What the operator can do about it, one sentence. */
  readonly remedy: string;

  constructor(init: {
    readonly code: ConstellationErrorCode;
    readonly message: string;
    readonly remedy: string;
    readonly cause?: unknown;
  }) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.remedy = init.remedy;
  }
}
