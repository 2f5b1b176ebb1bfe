import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseStrictJson, sourceOf } from "./strict-json.ts";

const fault = (text: string): string => {
  const json = parseStrictJson(Buffer.from(text));
  return json.kind === "fault" ? json.fault : "none";
};

describe("JSON that two parsers may read differently is refused", () => {
  test.each([
    ["equal names", '{"a":1,"a":2}'],
    ["names equal after escapes", '{"name":1,"n\\u0061me":2}'],
    ["names equal but for case", '{"params":{"name":1,"Name":2}}'],
    ["a long s beside an s", '{"params":1,"param\u017f":2}'],
    ["a Kelvin sign beside a k", '{"key":1,"\u212aey":2}'],
    ["equal names deep inside", '{"params":{"arguments":{"x":[{"p":1,"p":2}]}}}'],
  ])("%s", (_, text) => {
    expect(fault(text)).toBe("DUPLICATE_NAME");
  });

  test("a lone surrogate, which parsers replace or keep", () => {
    expect(fault('{"a":"\\ud800"}')).toBe("LONE_SURROGATE");
    expect(fault('{"\\udfff":1}')).toBe("LONE_SURROGATE");
  });

  test("bytes that are not UTF-8, and a byte order mark", () => {
    const broken = parseStrictJson(Buffer.from([0x22, 0xff, 0x22]));
    expect(broken).toMatchObject({ kind: "fault", fault: "NOT_UTF8" });
    expect(fault("\ufeff{}")).toBe("NOT_JSON");
  });

  test("nesting beyond 64, also when it is deep enough to exhaust a stack", () => {
    expect(fault("[".repeat(64) + "]".repeat(64))).toBe("none");
    expect(fault("[".repeat(65) + "]".repeat(65))).toBe("TOO_DEEP");
    expect(fault("[".repeat(200_000) + "]".repeat(200_000))).not.toBe("none");
  });
});

test("equal names in different objects are not duplicates", () => {
  expect(fault('[{"a":{"a":1}},{"a":2}]')).toBe("none");
});

test("the original text of a value is found by its path", () => {
  const json = parseStrictJson(
    Buffer.from('{"id": 1e0 ,"params":{"name":"e\\u0063ho","arguments": {"n": 1.50, "s":"}"}  }}'),
  );
  if (json.kind === "fault") throw new Error(json.fault);
  expect(sourceOf(json, ["id"])).toBe("1e0");
  expect(sourceOf(json, ["params", "name"])).toBe('"e\\u0063ho"');
  expect(sourceOf(json, ["params", "arguments"])).toBe('{"n": 1.50, "s":"}"}');
  expect(sourceOf(json, ["params", "missing"])).toBeUndefined();
});

test("everything that JSON.stringify writes with distinct names is accepted and read alike", () => {
  const name = fc.string({ unit: "grapheme" });
  const leaf = fc.oneof(
    name,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
  );
  const distinct = { selector: (entry: readonly [string, unknown]) => entry[0].toUpperCase().toLowerCase() };
  const tree = fc.letrec((tie) => ({
    node: fc.oneof(
      leaf,
      fc.array(tie("node"), { maxLength: 4 }),
      fc
        .uniqueArray(fc.tuple(name, tie("node")), { maxLength: 4, ...distinct })
        .map((entries) => Object.fromEntries(entries)),
    ),
  })).node;
  fc.assert(
    fc.property(tree, fc.integer({ min: 0, max: 2 }), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      const json = parseStrictJson(Buffer.from(text));
      expect(json.kind === "value" ? json.value : json.fault).toStrictEqual(JSON.parse(text));
    }),
  );
});
