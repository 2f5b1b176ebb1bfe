import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { redactArguments, redactText } from "./redact-arguments.ts";

describe("redacted arguments", () => {
  test.each([
    "password",
    "userPassword",
    "api_key",
    "apiKey",
    "Authorization",
    "client_secret",
    "access_token",
    "Cookie",
    "privateKey",
    "pin",
  ])("hide the value under %s, of any type", (name) => {
    for (const secret of ["hunter2", 4711, ["hunter2"], { inner: "hunter2" }]) {
      expect(redactArguments({ outer: [{ [name]: secret }] })).toBe(`{"outer":[{"${name}":"[redacted]"}]}`);
    }
  });

  test.each([
    ["Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"],
    ["use sk-proj-abcdefghijklmnopqrstuvwx please", "abcdefghijklmnopqrstuvwx"],
    ["ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz"],
    ["key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"],
    ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIiOiIxMjM0In0"],
    ["postgres://app:s3cr3t@db/x", "s3cr3t"],
    ["spt1.eyJ0ZCI6InNhbGx5cG9ydCJ9.c2VjcmV0c2VjcmV0", "c2VjcmV0c2VjcmV0"],
    ["-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----", "MIGHAgEA"],
  ])("hide a secret inside a text: %s", (text, secret) => {
    expect(redactArguments({ text })).not.toContain(secret);
    expect(redactText(text)).not.toContain(secret);
  });

  test.each([
    "mysql --password hunter2 -h db",
    "mysql --password=hunter2",
    "curl -H 'X-Api-Key: hunter2'",
    "curl -H 'Authorization: Digest username=\"hunter2\"'",
    "Cookie: a=b; session=hunter2",
    "https://db/?user=app&token=hunter2&x=1",
    "DB_PASSWORD=hunter2",
    "export DB_PASS='hunter2 hunter2'",
    '{"password":"hunter2"}',
    String.raw`{\"nested\":\"{\\\"client_secret\\\":\\\"hunter2\\\"}\"}`,
    "passwords: hunter2",
  ])("hide what a text names as a secret: %s", (text) => {
    expect(redactArguments({ text })).not.toContain("hunter2");
    expect(redactText(text)).not.toContain("hunter2");
  });

  test.each([
    { passwords: ["hunter2"] },
    { headers: [{ name: "X-Api-Key", value: "hunter2" }] },
    { env: [{ key: "DB_PASSWORD", value: "hunter2" }] },
    { headers: [["Authorization", "hunter2"]] },
    { argv: ["mysql", "--password", "hunter2"] },
  ])("hide a secret whose name stands beside it: %j", (value) => {
    expect(redactArguments(value)).not.toContain("hunter2");
  });

  test("a hostile text costs no more than its length", () => {
    const startedAt = performance.now();
    for (const piece of ["a", "-", "pass", "token ", "authorization", " --", "\\", "password\\"])
      redactArguments({ text: piece.repeat(4_096) });
    expect(performance.now() - startedAt).toBeLessThan(500);
  });

  test("keep what is no secret", () => {
    const value = {
      path: "/tmp/token.txt",
      count: 3,
      tokens: 5,
      ok: true,
      none: null,
      list: ["a", 1],
      question: "How many tokens does the secret garden cost?",
      columns: [{ name: "age", value: "7" }],
    };
    expect(JSON.parse(redactArguments(value))).toEqual(value);
  });

  test("end after a bounded walk, however deep or wide the value is", () => {
    let deep: unknown = "bottom";
    for (let level = 0; level < 10_000; level += 1) deep = { deep };
    expect(Buffer.byteLength(redactArguments(deep))).toBeLessThanOrEqual(4_096);
    expect(Buffer.byteLength(redactArguments(Array.from({ length: 1_000_000 }, () => "x")))).toBeLessThanOrEqual(4_096);
  });

  test("never throw and never exceed 4,096 bytes", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true }), (value) => {
        expect(Buffer.byteLength(redactArguments(value))).toBeLessThanOrEqual(4_096);
      }),
    );
  });
});
