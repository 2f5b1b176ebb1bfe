/**
 * Functions of another process, called over its IPC channel. Arguments and answers are JSON.
 * Measured parties run as processes of their own, so that each one's CPU time is its own.
 */
import { fork } from "node:child_process";
import { once } from "node:events";

/** What a worker serves: functions of one argument. */
type Served<Api> = { readonly [Name in keyof Api]: (argument: never) => unknown };

export interface Worker<Api extends Served<Api>> extends AsyncDisposable {
  readonly pid: number;
  /** Rejects with what the function threw, and when the worker is gone. */
  call<Name extends keyof Api & string>(
    name: Name,
    argument: Parameters<Api[Name]>[0],
  ): Promise<Awaited<ReturnType<Api[Name]>>>;
}

interface Call<Argument = unknown> {
  readonly id: number;
  readonly name: string;
  readonly argument: Argument;
}

type Answer =
  | { readonly id: number; readonly kind: "value"; readonly json: string }
  | { readonly id: number; readonly kind: "error"; readonly message: string };

const exitTimeoutMs = 5_000;

/**
 * Starts the module `file`, which calls `serveWorker` with an `Api`.
 * @param within a command that starts the process and becomes it, such as `ip netns exec <name>`.
 */
export function startWorker<Api extends Served<Api>>(
  file: string,
  execArgv: readonly string[] = [],
  within: readonly string[] = [],
): Worker<Api> {
  const [execPath, ...before] = [...within, process.execPath];
  const child = fork(file, [], { execPath, execArgv: [...before, "--conditions=sallyport-source", ...execArgv] });
  const waiting = new Map<number, (answer: Answer) => void>();
  let calls = 0;
  child.on("message", (text) => {
    if (typeof text !== "string") return;
    const answer: Answer = JSON.parse(text);
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const exited = once(child, "exit").then(() => {
    for (const [id, settle] of waiting) settle({ id, kind: "error", message: `the worker ${file} ended` });
    waiting.clear();
  });
  return {
    pid: child.pid ?? -1,
    call: (name, argument) =>
      new Promise((resolve, reject) => {
        const id = (calls += 1);
        waiting.set(id, (answer) => {
          if (answer.kind === "value") resolve(JSON.parse(answer.json));
          else reject(new Error(`${name}: ${answer.message}`));
        });
        const call: Call = { id, name, argument };
        child.send(JSON.stringify(call), (error) => {
          if (error !== null) waiting.get(id)?.({ id, kind: "error", message: error.message });
        });
      }),
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect();
      const timer = setTimeout(() => child.kill("SIGKILL"), exitTimeoutMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Answers the parent's calls until it lets go; then the process ends, whatever it still has open. */
export function serveWorker<Api extends Served<Api>>(api: Api): void {
  const functions = new Map<string, (argument: never) => unknown>(Object.entries(api));
  process.on("message", (text) => {
    if (typeof text !== "string") return;
    const { id, name, argument }: Call<never> = JSON.parse(text);
    void answer(id, functions.get(name), argument).then((given) => process.send?.(JSON.stringify(given)));
  });
  process.on("disconnect", () => process.exit());
}

async function answer(
  id: number,
  served: ((argument: never) => unknown) | undefined,
  argument: never,
): Promise<Answer> {
  try {
    const value: unknown = await served?.(argument);
    return { id, kind: "value", json: JSON.stringify(value ?? null) };
  } catch (error) {
    return { id, kind: "error", message: error instanceof Error ? error.message : String(error) };
  }
}
