/** What the connector says to its operator. A pino logger fits. */
export interface ConnectorLog {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

/** `err` for a log line: the message alone, since a stack says nothing to an operator. */
export function failure(error: unknown): { readonly reason: string } {
  return { reason: error instanceof Error ? error.message : String(error) };
}
