import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { ConstellationError } from "./constellation-error.ts";
import { checkoutDir } from "./checkout.ts";

/** nats-server from PATH, else the one that the project unpacked for itself. @throws ConstellationError NATS_SERVER_MISSING */
export function findNatsServer(path: string): string {
  const candidates = [
    ...path
      .split(delimiter)
      .filter((dir) => dir !== "")
      .map((dir) => join(dir, "nats-server")),
    join(checkoutDir, ".tools/nats-server/usr/sbin/nats-server"),
  ];
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw new ConstellationError({
    code: "NATS_SERVER_MISSING",
    message: "there is no nats-server, neither in PATH nor in the project's .tools folder",
    remedy: "Run `npm start` once, which unpacks one, or install nats-server 2.9 or newer.",
  });
}

/** The first executable of that name in PATH. */
export function findInPath(name: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((dir) => dir !== "")
    .map((dir) => join(dir, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
