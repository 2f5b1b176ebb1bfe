import type { PolicyPosition } from "./policy-error.ts";

/** One policy as it stands in its file, from its first token to its semicolon. */
export interface Statement {
  readonly file: string;
  /** From 1, in the order of the file. */
  readonly number: number;
  readonly text: string;
  /** Characters before the statement. */
  readonly offset: number;
  readonly source: string;
}

const COMMENT_OR_SPACE = /(?:\s|\/\/[^\n]*)+/y;

/**
 * Cuts Cedar text after each semicolon that is neither in a string nor in a comment; these are the only other places where Cedar's grammar
 * has one. Each statement is parsed by Cedar afterwards, so a cut that Cedar sees differently is a syntax error, never another meaning.
 * What follows the last semicolon is a statement too, and fails to parse.
 */
export function splitStatements(file: string, source: string): Statement[] {
  const statements: Statement[] = [];
  let start = skipBlank(source, 0);
  while (start < source.length) {
    const end = statementEnd(source, start);
    statements.push({ file, number: statements.length + 1, text: source.slice(start, end), offset: start, source });
    start = skipBlank(source, end);
  }
  return statements;
}

/** The place of a byte of the statement's UTF-8 form, which is how Cedar counts. */
export function positionIn(statement: Statement, byteOffset: number): PolicyPosition {
  const inStatement = Buffer.from(statement.text, "utf8").subarray(0, byteOffset).toString("utf8");
  const before = statement.source.slice(0, statement.offset) + inStatement;
  const lineStart = before.lastIndexOf("\n") + 1;
  return { file: statement.file, line: before.split("\n").length, column: before.length - lineStart + 1 };
}

function skipBlank(source: string, from: number): number {
  COMMENT_OR_SPACE.lastIndex = from;
  return COMMENT_OR_SPACE.test(source) ? COMMENT_OR_SPACE.lastIndex : from;
}

function statementEnd(source: string, start: number): number {
  let at = start;
  while (at < source.length) {
    const character = source[at];
    if (character === ";") return at + 1;
    if (character === '"') at = stringEnd(source, at);
    else if (source.startsWith("//", at)) at = skipBlank(source, at);
    else at++;
  }
  return at;
}

function stringEnd(source: string, quote: number): number {
  let at = quote + 1;
  while (at < source.length && source[at] !== '"') at += source[at] === "\\" ? 2 : 1;
  return at + 1;
}
