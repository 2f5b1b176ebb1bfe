import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  flattenArguments,
  MAX_ARGUMENT_CHARACTERS,
  MAX_ARGUMENT_DEPTH,
  MAX_ARGUMENT_NODES,
  MAX_ARGUMENT_PATH_CHARACTERS,
} from "./flatten-arguments.ts";

describe("flattenArguments", () => {
  it("gives every value a dotted path, and whole numbers and sizes a second time as numbers", () => {
    const args = { path: "/a", options: { deep: [true, null, 2.5], count: 7 }, none: [] };
    expect(flattenArguments(args)).toEqual({
      kind: "flat",
      strings: {
        path: "/a",
        "options.deep.0": "true",
        "options.deep.1": "null",
        "options.deep.2": "2.5",
        "options.count": "7",
      },
      numbers: { "#": 3, "options.#": 2, "options.deep.#": 3, "options.count": 7, "none.#": 0 },
    });
  });

  it("takes absent arguments for an empty object", () => {
    expect(flattenArguments(undefined)).toEqual({ kind: "flat", strings: {}, numbers: { "#": 0 } });
  });

  it.each([
    ["a dot that spells a path", { a: { b: "hidden" }, "a.b": "shown" }],
    ["an empty name", { "": { a: "hidden" }, a: "shown" }],
    ["an escaped dot", { "a\\": { b: "hidden" }, "a\\.b": "shown" }],
    ["a size", { a: [1, 2], "a.#": 9 }],
    ["the size of the whole", { "#": 9 }],
    ["a member of the prototype", JSON.parse('{"__proto__": {"a": "hidden"}, "a": "shown"}')],
  ])("keeps two arguments apart whose names differ by %s", (_what, args: object) => {
    const flat = flattenArguments(args);
    if (flat.kind === "refused") throw new Error(flat.reason);
    expect(Object.values(flat.strings).toSorted()).toEqual(leaves(args).toSorted());
    expect(flat.numbers["#"]).toBe(Object.keys(args).length);
  });

  it("loses no value and merges no two, whatever the names are", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string({ unit: fc.constantFrom(".", "\\", "#", "a", "0", "é") }),
          fc.jsonValue({ maxDepth: 3 }),
        ),
        (args) => {
          const flat = flattenArguments(args);
          if (flat.kind === "flat") expect(Object.values(flat.strings).toSorted()).toEqual(leaves(args).toSorted());
        },
      ),
      { numRuns: 500 },
    );
  });

  it("has no number for what a whole number of 64 bits cannot hold exactly", () => {
    const flat = flattenArguments({ big: 2 ** 53, part: 0.5, zero: -0, edge: 2 ** 53 - 1 });
    expect(flat.kind === "flat" && flat.numbers).toEqual({ "#": 4, zero: 0, edge: 2 ** 53 - 1 });
  });

  it.each([
    ["no object", "text"],
    ["an array", [1]],
    ["null", null],
    ["too deep", nested(MAX_ARGUMENT_DEPTH + 1)],
    ["too many values", { list: Array.from({ length: MAX_ARGUMENT_NODES }, () => 0) }],
    ["too many values in many lists", { a: Array.from({ length: 50 }, () => Array.from({ length: 50 }, () => 0)) }],
    ["too much text", { text: "x".repeat(MAX_ARGUMENT_CHARACTERS + 1) }],
    ["too long a name", { ["x".repeat(MAX_ARGUMENT_PATH_CHARACTERS + 1)]: 1 }],
    ["half a character", { text: "\ud800" }],
    ["half a character in a name", { "\udc00": 1 }],
    ["a value that JSON does not have", { text: 1n }],
    ["a number that JSON does not have", { text: Number.NaN }],
  ])("refuses %s", (_what, args: unknown) => {
    expect(flattenArguments(args).kind).toBe("refused");
  });

  it("takes what is just within the limits", () => {
    expect(flattenArguments(nested(MAX_ARGUMENT_DEPTH)).kind).toBe("flat");
    expect(flattenArguments({ list: Array.from({ length: MAX_ARGUMENT_NODES - 2 }, () => 0) }).kind).toBe("flat");
  });
});

/** `depth` objects inside one another. */
function nested(depth: number): object {
  return depth === 1 ? {} : { a: nested(depth - 1) };
}

function leaves(value: unknown): string[] {
  if (typeof value === "object" && value !== null) return Object.values(value).flatMap(leaves);
  return [typeof value === "string" ? value : String(value)];
}
