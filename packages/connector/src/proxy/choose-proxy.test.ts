import { describe, expect, test } from "vitest";
import { chooseProxy, type Environment } from "./choose-proxy.ts";
import { isExempt } from "./no-proxy.ts";

/** The proxy's address for a router; `direct` for none. */
function chosen(env: Environment, host = "router.example", told?: string | null): string {
  return chooseProxy(told, env)(host, 443)?.address ?? "direct";
}

describe("routers are reached", () => {
  test("directly where nothing names a proxy", () => {
    expect(chosen({})).toBe("direct");
    expect(chosen({ HTTPS_PROXY: "", https_proxy: "", SALLYPORT_PROXY: "" })).toBe("direct");
  });

  test("through HTTPS_PROXY, its lower-case form first, with or without a scheme", () => {
    expect(chosen({ HTTPS_PROXY: "http://proxy:3128" })).toBe("proxy:3128");
    expect(chosen({ HTTPS_PROXY: "http://upper:1", https_proxy: "lower:2" })).toBe("lower:2");
    expect(chosen({ HTTPS_PROXY: "http://[::1]:3128" })).toBe("[::1]:3128");
    expect(chosen({ HTTPS_PROXY: "http://proxy" })).toBe("proxy:80");
  });

  test("directly where NO_PROXY says so, and on this machine", () => {
    const env = { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: ".example, 10.0.0.0/8" };
    expect(chosen(env)).toBe("direct");
    expect(chosen(env, "10.1.2.3")).toBe("direct");
    expect(chosen(env, "router.other")).toBe("proxy:3128");
    for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "::1"]) expect(chosen(env, host)).toBe("direct");
  });

  test("through SALLYPORT_PROXY before all of these", () => {
    const env = { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "*", SALLYPORT_PROXY: "http://own:8080" };
    expect(chosen(env)).toBe("own:8080");
    expect(chosen(env, "127.0.0.1")).toBe("own:8080");
    expect(chosen({ ...env, NO_PROXY: "", SALLYPORT_PROXY: "none" })).toBe("direct");
  });

  test("through what the caller says before that", () => {
    const env = { HTTPS_PROXY: "http://proxy:3128", SALLYPORT_PROXY: "http://own:8080" };
    expect(chosen(env, "router.example", "http://told:1")).toBe("told:1");
    expect(chosen(env, "router.example", null)).toBe("direct");
  });
});

describe("NO_PROXY", () => {
  test.each([
    ["*", "anything", true],
    ["example.com", "example.com", true],
    ["example.com", "router.EXAMPLE.com", true],
    [".example.com", "router.example.com", true],
    ["*.example.com", "router.example.com", true],
    ["example.com", "notexample.com", false],
    ["example.com:443", "example.com", true],
    ["example.com:8443", "example.com", false],
    ["192.0.2.7", "192.0.2.7", true],
    ["192.0.2.7", "192.0.2.70", false],
    ["192.0.2.0/24", "192.0.2.70", true],
    ["192.0.2.0/24", "192.0.3.70", false],
    ["192.0.2.0/99", "192.0.2.70", false],
    ["[2001:db8::1]:443", "2001:db8::1", true],
    ["2001:db8::/32", "2001:db8:1::1", true],
    ["a.example b.example,,c.example", "b.example", true],
    ["", "example.com", false],
  ])("%j for %s is %s", (noProxy, host, exempt) => {
    expect(isExempt(noProxy, host, 443)).toBe(exempt);
  });
});
