import { spawn, type ChildProcess } from "node:child_process";
import { expect, test } from "vitest";
import { SupervisedProcess, type Launch, type ProcessEvent } from "./supervised-process.ts";

/** A process that runs `before`, says `ready`, then runs `script`. */
function launch(script: string, before = ":"): Launch {
  const child: ChildProcess = spawn("/bin/sh", ["-c", `${before}; echo ready; ${script}`], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  return { child, ready: new Promise((resolve) => child.stdout?.once("data", () => resolve())) };
}

function supervise(script: string, events: ProcessEvent[], stopGraceMs = 200): SupervisedProcess {
  const onEvent = (event: ProcessEvent): number => events.push(event);
  return new SupervisedProcess({
    name: "test",
    launch: async () => launch(script),
    lastWords: async () => "its last words",
    onEvent,
    stopGraceMs,
  });
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not happen within 5 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a process that is killed is started again", async () => {
  const events: ProcessEvent[] = [];
  await using supervised = supervise("exec sleep 60", events);
  await supervised.ready;
  const first = supervised.pid ?? 0;
  process.kill(first, "SIGKILL");
  await until(() => supervised.pid !== undefined && supervised.pid !== first);
  expect(events).toContainEqual({ kind: "ended", name: "test", how: "was ended by SIGKILL", restartInMs: 100 });
});

test("the pause between starts grows", async () => {
  const events: ProcessEvent[] = [];
  await using _supervised = supervise("exit 7", events);
  const pauses = (): readonly number[] =>
    events.flatMap((event) => (event.kind === "ended" ? [event.restartInMs] : []));
  await until(() => pauses().length >= 4);
  expect(pauses().slice(0, 4)).toEqual([100, 200, 400, 800]);
});

test("one that never becomes ready fails the start with its last words", async () => {
  const child = (): Launch => ({ ...launch("exit 3"), ready: new Promise(() => undefined) });
  await using supervised = new SupervisedProcess({
    name: "test",
    launch: async () => child(),
    lastWords: async () => "its last words",
  });
  await expect(supervised.ready).rejects.toMatchObject({
    code: "PROCESS_FAILED",
    message: expect.stringMatching(/status 3\nits last words/),
  });
});

test("a command that does not exist fails the start too", async () => {
  const child = (): Launch => ({ child: spawn("/nonexistent/command"), ready: new Promise(() => undefined) });
  await using supervised = new SupervisedProcess({
    name: "test",
    launch: async () => child(),
    lastWords: async () => "",
  });
  await expect(supervised.ready).rejects.toMatchObject({
    code: "PROCESS_FAILED",
    message: expect.stringContaining("ENOENT"),
  });
});

test("a stop ends it politely, and by force when it does not listen", async () => {
  const polite = supervise("exec sleep 60", []);
  const deaf = supervise("trap '' TERM; while :; do sleep 0.05; done", [], 150);
  await Promise.all([polite.ready, deaf.ready]);
  const pids = [polite.pid ?? 0, deaf.pid ?? 0];
  await Promise.all([polite[Symbol.asyncDispose](), deaf[Symbol.asyncDispose]()]);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  expect(polite.pid).toBeUndefined();
});

test("a restart that is asked for is done when the next one is ready, without a pause", async () => {
  const events: ProcessEvent[] = [];
  await using supervised = supervise("exec sleep 60", events);
  await supervised.ready;
  const first = supervised.pid;
  await supervised.restart(1_000);
  expect(supervised.pid).toBeDefined();
  expect(supervised.pid).not.toBe(first);
  expect(events.map(({ kind }) => kind)).toEqual(["started", "ready", "ended", "started", "ready"]);
  expect(events[2]).toMatchObject({ how: "was ended by SIGTERM", restartInMs: 0 });
});

test("a restart does not wait for one that does not listen", async () => {
  const events: ProcessEvent[] = [];
  await using supervised = new SupervisedProcess({
    name: "test",
    launch: async () => launch("while :; do sleep 0.05; done", "trap '' TERM"),
    lastWords: async () => "",
    onEvent: (event) => events.push(event),
    stopGraceMs: 100,
  });
  await supervised.ready;
  await supervised.restart(100);
  expect(events[2]).toMatchObject({ how: "was ended by SIGKILL" });
});

test("a restart whose process does not start goes on trying with a growing pause, until the stop ends it", async () => {
  const events: ProcessEvent[] = [];
  let launches = 0;
  const supervised = new SupervisedProcess({
    name: "test",
    launch: async () => ((launches += 1) === 1 ? launch("exec sleep 60") : Promise.reject(new Error("no such file"))),
    lastWords: async () => "",
    onEvent: (event) => events.push(event),
  });
  await supervised.ready;
  const outcome = supervised.restart(1_000).catch((error: unknown) => error);
  const pauses = (): readonly number[] =>
    events.flatMap((event) => (event.kind === "ended" ? [event.restartInMs] : []));
  await until(() => pauses().length >= 3);
  expect(pauses().slice(0, 3)).toEqual([0, 100, 200]);
  await supervised[Symbol.asyncDispose]();
  expect(await outcome).toMatchObject({ message: "test was stopped" });
});

test("nothing is started after a stop, also between two starts", async () => {
  const events: ProcessEvent[] = [];
  const supervised = supervise("exit 1", events);
  await until(() => events.some((event) => event.kind === "ended"));
  await supervised[Symbol.asyncDispose]();
  const { length } = events;
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(events.length).toBe(length);
});
