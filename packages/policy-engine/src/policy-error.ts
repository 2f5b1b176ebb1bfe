export type PolicyErrorCode =
  /** Cedar text that does not parse. */
  | "POLICY_SYNTAX"
  /** A document that parses but cannot be meant: types, names, duplicate ids. */
  | "POLICY_INVALID"
  | "LIMIT_EXCEEDED"
  /** A policy folder that cannot be read, or whose policy.json has another shape. */
  | "FOLDER_INVALID"
  /** An envelope whose bytes, size, type or signature are wrong. */
  | "ENVELOPE_INVALID"
  /** An envelope signed by a chain that does not verify now. */
  | "SIGNER_UNTRUSTED"
  /** An envelope signed by a valid identity that is not `/service/policy/<instance>`. */
  | "SIGNER_FORBIDDEN"
  /** A head, slice or deny-list older than the one in force. */
  | "REPLAYED"
  /** Not the bytes that the head in force names for this version. */
  | "DIGEST_MISMATCH"
  /** A head whose time lies further in the future than clocks differ. */
  | "HEAD_FROM_FUTURE";

/** Where in the author's text; lines and columns count from 1, columns in characters. */
export interface PolicyPosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface PolicyErrorInit {
  readonly position?: PolicyPosition | undefined;
  /** The document's field at fault in dotted form. */
  readonly field?: string;
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

export class PolicyError extends Error {
  override readonly name = "PolicyError";
  readonly code: PolicyErrorCode;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly field: string | undefined;
  readonly remedy: string | undefined;

  constructor(code: PolicyErrorCode, message: string, init: PolicyErrorInit = {}) {
    const { position } = init;
    super(position === undefined ? message : `${position.file}:${position.line}:${position.column}: ${message}`, {
      cause: init.cause,
    });
    this.code = code;
    this.file = position?.file;
    this.line = position?.line;
    this.column = position?.column;
    this.field = init.field;
    this.remedy = init.remedy;
  }
}
