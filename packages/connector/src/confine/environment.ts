import { dirname, join } from "node:path";

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * All that a confined process sees of the connector's environment: nothing, but for what `allowed` names.
 * PATH begins with the folder of this Node, so that `node` and `npx` are the ones that the connector itself runs on.
 */
export function closedEnvironment(home: string, allowed: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: `${dirname(process.execPath)}:${systemPath}`,
    LANG: "C.UTF-8",
    ...allowed,
    HOME: home,
    TMPDIR: join(home, "tmp"),
  };
}
