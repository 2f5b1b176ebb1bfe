import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { root } from "../setup/stamp.js";

export { root };

export type Verdict =
  | { readonly kind: "passed"; readonly looked: number }
  | { readonly kind: "failed"; readonly looked: number; readonly findings: string }
  /** The machine or the repository has nothing to hold against; the reason is printed. */
  | { readonly kind: "skipped"; readonly reason: string };

export interface Gate {
  readonly name: string;
  /** What `looked` counts. */
  readonly unit: string;
  readonly run: () => Promise<Verdict>;
}

interface Ran {
  readonly ok: boolean;
  /** Standard output and standard error as they came. */
  readonly output: string;
}

/** Runs a tool of node_modules/.bin, or one in PATH, without colour and without telemetry. */
export async function runTool(command: string, args: readonly string[], cwd: string = root): Promise<Ran> {
  const bin = join(root, "node_modules/.bin");
  const child = spawn(command, args, {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}`,
      NO_COLOR: "1",
      TURBO_TELEMETRY_DISABLED: "1",
      TURBO_NO_UPDATE_NOTIFIER: "1",
    },
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  return await new Promise((resolve) => {
    child.once("error", (error) => resolve({ ok: false, output: error.message }));
    child.once("close", (code) => resolve({ ok: code === 0, output: Buffer.concat(chunks).toString() }));
  });
}

/** The verdict of a tool that says itself, in its output, how much it looked at. */
export function verdictOf(ran: Ran, lookedAt: RegExp): Verdict {
  const looked = Number(lookedAt.exec(ran.output)?.[1] ?? 0);
  return ran.ok ? { kind: "passed", looked } : { kind: "failed", looked, findings: ran.output };
}
