export type FirstLightErrorCode =
  /** A step saw something else than it must see. */
  | "STEP_FAILED"
  /** What a step waited for did not come in time. */
  | "TIMED_OUT"
  /** A process of the story ended, or ended otherwise than it should. */
  | "PROCESS_FAILED"
  /** The command line of `npm start` is wrong. */
  | "USAGE";

export class FirstLightError extends Error {
  override readonly name = "FirstLightError";
  readonly code: FirstLightErrorCode;

  constructor(code: FirstLightErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The one sentence of every check: what must hold, and what was seen instead. */
export function must(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new FirstLightError("STEP_FAILED", otherwise);
}
