import type { ConnectorLog } from "@sallyport/connector";
import { printable } from "./render/printable.ts";
import type { Terminal } from "./terminal.ts";

/** The connector's words on stderr: warnings always, the rest with `--verbose`. What is said again and again is said once. */
export function connectorLog({ stderr, noteColors }: Terminal, verbose: boolean): ConnectorLog {
  let last = "";
  const line = (mark: string, facts: object, message: string): void => {
    const details = Object.entries(facts).map(
      ([name, value]) => `${name}=${printable(typeof value === "string" ? value : JSON.stringify(value))}`,
    );
    const text = `${mark} ${message} ${noteColors.dim(details.join(" "))}\n`;
    if (text !== last) stderr.write(text);
    last = text;
  };
  return {
    debug: (facts, message) => verbose && line(noteColors.dim("·"), facts, message),
    info: (facts, message) => verbose && line(noteColors.dim("i"), facts, message),
    warn: (facts, message) => line(noteColors.yellow("!"), facts, message),
  };
}
