import { exitCode, type ExitCode } from "./exit-code.ts";

export type CliErrorCode =
  | "USAGE"
  | "TOKEN_MISSING"
  | "TOKEN_IN_ARGUMENTS"
  | "TOKEN_FILE_UNREADABLE"
  | "PROFILE_NOT_CHOSEN"
  | "PROFILE_MISSING"
  | "DURATION_INVALID"
  | "ADDRESS_INVALID"
  | "CLIENT_UNKNOWN"
  | "ROUTER_UNKNOWN"
  | "ID_AMBIGUOUS";

/** A command that cannot do what it was asked, with what to do next. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CliErrorCode;
  readonly remedy: string;
  readonly exitCode: ExitCode;

  constructor(init: {
    readonly code: CliErrorCode;
    readonly message: string;
    readonly remedy: string;
    readonly exitCode?: ExitCode;
    readonly cause?: unknown;
  }) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.remedy = init.remedy;
    this.exitCode = init.exitCode ?? exitCode.usage;
  }
}

/** The end of a command that has already said on its own what is wrong. */
export class ToldError extends Error {
  override readonly name = "ToldError";
  readonly exitCode: ExitCode;

  constructor(status: ExitCode) {
    super(`ended with status ${status}`);
    this.exitCode = status;
  }
}
