import type { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { Terminal } from "../terminal.ts";
import { Screen } from "./screen.ts";

/** A terminal of which everything that is written is kept. */
function testTerminal(): {
  readonly terminal: Terminal;
  readonly written: () => string;
  readonly raw: boolean[];
  readonly type: (keys: string) => void;
  readonly resize: (rows: number) => void;
} {
  const raw: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (isRaw: boolean) => raw.push(isRaw) });
  const stdout = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 5 });
  let text = "";
  stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return {
    terminal: new Terminal({ stdin, stdout, stderr: new PassThrough(), env: {} }),
    written: () => text,
    raw,
    type: (keys) => void stdin.emit("data", Buffer.from(keys)),
    resize: (rows) => {
      stdout.rows = rows;
      stdout.emit("resize");
    },
  };
}

test("the terminal is given back as it was, whatever happened", () => {
  const { terminal, written, raw } = testTerminal();
  const use = (): void => {
    using screen = new Screen(terminal, { onLeave: () => undefined, onResize: () => undefined });
    screen.draw(["one"]);
    throw new Error("in between");
  };
  expect(use).toThrow("in between");
  expect(raw).toEqual([true, false]);
  expect(written().startsWith("\u001b[?1049h\u001b[?25l")).toBe(true);
  expect(written().endsWith("\u001b[?25h\u001b[?1049l")).toBe(true);
  const stdin: EventEmitter = terminal.stdin;
  expect(stdin.listenerCount("data")).toBe(0);
});

test("a view is drawn over the one before, as much of it as fits", () => {
  const { terminal, written } = testTerminal();
  using screen = new Screen(terminal, { onLeave: () => undefined, onResize: () => undefined });
  screen.draw(["one", "two", "three", "four", "five", "six"]);
  expect(written()).toContain("\u001b[Hone\u001b[K\r\ntwo\u001b[K\r\nthree\u001b[K\r\nfour\u001b[K");
  expect(written()).not.toContain("five");
});

test.each([["q"], ["\u0003"]])("%j leaves, other keys do not", (key) => {
  const { terminal, type } = testTerminal();
  let left = 0;
  using _screen = new Screen(terminal, { onLeave: () => (left += 1), onResize: () => undefined });
  type("x");
  expect(left).toBe(0);
  type(key);
  expect(left).toBe(1);
});

test("a new size is told, and counts from then on", () => {
  const { terminal, resize } = testTerminal();
  let told = 0;
  using screen = new Screen(terminal, { onLeave: () => undefined, onResize: () => (told += 1) });
  resize(40);
  expect([told, screen.rows]).toEqual([1, 40]);
});
