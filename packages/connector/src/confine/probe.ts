import { spawn } from "node:child_process";

const probeTimeoutMs = 5_000;

/** Whether the command starts, ends by itself in time, and says 0. */
export async function runsWell(argv: readonly string[]): Promise<boolean> {
  const [file, ...args] = argv;
  if (file === undefined) return false;
  return await new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: "ignore",
      cwd: "/",
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      timeout: probeTimeoutMs,
      killSignal: "SIGKILL",
    });
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}
