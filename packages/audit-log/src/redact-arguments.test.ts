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

  test("keep what is no secret", () => {
    const value = { path: "/tmp/token.txt", count: 3, tokens: 5, ok: true, none: null, list: ["a", 1] };
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
