import { destination, pino, type Logger } from "pino";
import type { LogLevel } from "./config.ts";

export type { Logger };

/** Fields that can hold a credential: replaced, wherever they occur on the first two levels of a log line. */
const SECRET_FIELDS: readonly string[] = [
  "token",
  "secret",
  "password",
  "privateKey",
  "keyEncryptionKey",
  "kek",
  "csr",
  "authorization",
];

/** JSON lines on stderr: stdout belongs to protocols. */
export function createLogger(options: {
  readonly name: string;
  readonly instance: string;
  readonly level: LogLevel;
}): Logger {
  return pino(
    {
      level: options.level,
      base: { service: options.name, instance: options.instance, pid: process.pid },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: "[redacted]" },
    },
    destination({ fd: 2, sync: true }),
  );
}
