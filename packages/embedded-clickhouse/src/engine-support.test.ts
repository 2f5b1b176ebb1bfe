import { expect, test } from "vitest";
import { assertEngineSupported, thisMachine } from "./engine-support.ts";

test("a processor without AVX2 is refused in words, with a way out", () => {
  const machine = { platform: "linux", arch: "x64", cpuinfo: "processor : 0\nflags\t\t: fpu sse2 avx avx512x\n" };
  expect(() => assertEngineSupported(machine)).toThrow(
    expect.objectContaining({
      code: "ENGINE_UNSUPPORTED",
      remedy: expect.stringContaining("SALLYPORT_CLICKHOUSE_URL"),
    }),
  );
});

test("a processor with AVX2 is taken", () => {
  expect(() =>
    assertEngineSupported({ platform: "linux", arch: "x64", cpuinfo: "flags\t\t: fpu avx2 bmi\n" }),
  ).not.toThrow();
});

test("an operating system without a build is refused", () => {
  expect(() => assertEngineSupported({ ...thisMachine(), platform: "win32" })).toThrow("win32");
});
