import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

test("colour is for a terminal only, and only where it is wanted", () => {
  expect(readConfig([], { TERM: "xterm" }, true).colour).toBe(true);
  expect(readConfig([], { TERM: "xterm" }, false).colour).toBe(false);
  expect(readConfig([], { NO_COLOR: "" }, true).colour).toBe(false);
  expect(readConfig([], { TERM: "dumb" }, true).colour).toBe(false);
});

test("a misspelt option is refused with the options that there are", () => {
  expect(() => readConfig(["--onec"], {}, true)).toThrow(/--onec[\s\S]*Usage: npm start/);
});
