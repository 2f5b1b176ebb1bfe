import type { Readable, Writable } from "node:stream";
import pc from "picocolors";

export type Colors = ReturnType<typeof pc.createColors>;

export interface TerminalOptions {
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(isRaw: boolean): unknown };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
}

/** Where a command speaks: results on stdout, everything for a person's eye on stderr. Colour only where a person looks. */
export class Terminal {
  readonly stdin: TerminalOptions["stdin"];
  readonly stdout: TerminalOptions["stdout"];
  readonly stderr: TerminalOptions["stderr"];
  /** Colours for stdout. */
  readonly colors: Colors;
  /** Colours for stderr. */
  readonly noteColors: Colors;

  constructor({ stdin, stdout, stderr, env }: TerminalOptions) {
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    const wanted = env["NO_COLOR"] === undefined && env["TERM"] !== "dumb";
    this.colors = pc.createColors(wanted && stdout.isTTY === true);
    this.noteColors = pc.createColors(wanted && stderr.isTTY === true);
  }

  /** A line of the result. */
  print(line: string): void {
    this.stdout.write(`${line}\n`);
  }

  /** A line of the result as JSON. */
  printJson(value: unknown): void {
    this.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** A line for a person, beside the result. */
  note(line: string): void {
    this.stderr.write(`${line}\n`);
  }
}
