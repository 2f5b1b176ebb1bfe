import { readFileSync } from "node:fs";
import { EmbeddedClickhouseError } from "./errors.ts";

const REMEDY = "Point SALLYPORT_CLICKHOUSE_URL at a ClickHouse server instead of using the embedded engine.";

export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Contents of /proc/cpuinfo; empty where there is none. */
  readonly cpuinfo: string;
}

export function thisMachine(): Machine {
  return { platform: process.platform, arch: process.arch, cpuinfo: readCpuinfo() };
}

/**
 * The engine is built with `-march=x86-64-v3`: on an older processor it would end by SIGILL, without a word.
 * @throws {EmbeddedClickhouseError} ENGINE_UNSUPPORTED
 */
export function assertEngineSupported(machine: Machine): void {
  const { platform, arch, cpuinfo } = machine;
  if (!["linux", "darwin"].includes(platform) || !["x64", "arm64"].includes(arch)) {
    throw new EmbeddedClickhouseError(
      "ENGINE_UNSUPPORTED",
      `The embedded ClickHouse engine has no build for ${platform}-${arch}.`,
      { remedy: REMEDY },
    );
  }
  if (arch !== "x64" || cpuinfo === "") return;
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/));
  if (!flags.has("avx2")) {
    throw new EmbeddedClickhouseError(
      "ENGINE_UNSUPPORTED",
      "The embedded ClickHouse engine needs a processor with AVX2, and this one has none.",
      { remedy: REMEDY },
    );
  }
}

function readCpuinfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return "";
  }
}
