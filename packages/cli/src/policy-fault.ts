import { failureOf } from "./failure.ts";

/** A refusal that points into a policy file, together with the line that it points at. */
export class PolicyFault extends Error {
  override readonly name = "PolicyFault";
  readonly code: string;
  readonly remedy: string;
  readonly field: string;
  readonly metadata: Readonly<Record<string, string>>;

  private constructor(cause: unknown, source: string) {
    const { message, code, remedy, field, facts } = failureOf(cause);
    super(message, { cause });
    this.code = code;
    this.remedy = remedy;
    this.field = field;
    this.metadata = { ...facts, source };
  }

  /** `error` itself where it does not point into one of `files`. */
  static of(error: unknown, files: Readonly<Record<string, string>>): unknown {
    const { file = "", line } = failureOf(error).facts;
    const source = files[file]?.split("\n")[Number(line) - 1];
    return source === undefined ? error : new PolicyFault(error, source);
  }
}
