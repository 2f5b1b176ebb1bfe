import { fork, type ChildProcess } from "node:child_process";
import type { SupervisorMessage } from "@sallyport/service";
import type { Entry } from "./checkout.ts";
import { openLog } from "./process-log.ts";
import type { Launch } from "./supervised-process.ts";

/**
 * Starts one of our services. It is led by the IPC channel: it says there when it is ready, and stops when the channel ends, so that no service
 * outlives us. Its own session keeps a terminal's Ctrl-C away from it: it is stopped in order instead.
 */
export async function launchService(options: {
  readonly name: string;
  readonly entry: Entry;
  readonly env: Readonly<Record<string, string>>;
  readonly logDir: string;
}): Promise<Launch> {
  const log = await openLog(options.logDir, options.name);
  try {
    const child = fork(options.entry.file, [], {
      execArgv: [...options.entry.nodeOptions],
      env: options.env,
      stdio: ["ignore", log.fd, log.fd, "ipc"],
      detached: true,
      serialization: "json",
    });
    return { child, ready: readyMessage(child) };
  } finally {
    await log.close();
  }
}

function readyMessage(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on("message", (message) => {
      if (isSupervisorMessage(message) && message.kind === "ready") resolve();
    });
  });
}

function isSupervisorMessage(message: unknown): message is SupervisorMessage {
  return typeof message === "object" && message !== null && "kind" in message;
}
