import { expect, test } from "vitest";
import { Credit, INITIAL_WINDOW_BYTES, MAX_CREDIT_BYTES } from "./credit.ts";

test("credit is spent to the last byte and not beyond", () => {
  const credit = new Credit();
  credit.spend(INITIAL_WINDOW_BYTES);
  expect(credit.availableBytes).toBe(0);
  expect(() => credit.spend(1)).toThrow(expect.objectContaining({ code: "CREDIT_EXCEEDED", wireCode: 3 }));
  credit.grant(5);
  credit.spend(5);
  expect(credit.availableBytes).toBe(0);
});

test("a WINDOW of nothing, or beyond what anyone can hold, is a violation", () => {
  const credit = new Credit();
  expect(() => credit.grant(0)).toThrow(expect.objectContaining({ code: "CREDIT_OVERFLOW" }));
  expect(() => credit.grant(0xffff_ffff)).toThrow(expect.objectContaining({ code: "CREDIT_OVERFLOW", wireCode: 3 }));
  credit.grant(MAX_CREDIT_BYTES - INITIAL_WINDOW_BYTES);
  expect(() => credit.grant(1)).toThrow(expect.objectContaining({ code: "CREDIT_OVERFLOW" }));
});
