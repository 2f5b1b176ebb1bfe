import { join } from "node:path";
import { cast, services } from "./cast.ts";
import type { Config } from "./config.ts";

/** What to try while the network is up: each line can be pasted into any shell, in any folder. */
export function nextCommands({ launcher, policyFolder }: Config): string {
  const { demoAgent } = cast;
  const commands: readonly (readonly [string, string])[] = [
    [
      "put the dark server into your MCP client",
      `mcp config ${services.everything} --client claude --profile ${demoAgent}`,
    ],
    ["watch the record as it grows", "audit tail"],
    ["ask what was refused", "audit search --decision deny"],
    ["change a rule and put it in force", `policy apply ${quote(policyFolder)}`],
    ["see what is up", "status"],
    ["cut the agent off", `revoke ${demoAgent}`],
  ];
  const lines = commands.map(([what, command]) => `  # ${what}\n  ${quote(launcher)} ${command}`);
  return `The network stays up. Try, from another terminal:\n\n${lines.join("\n")}\n\nThe policy: ${join(policyFolder, "everything.cedar")}\nCtrl-C ends everything.\n`;
}

/** For a POSIX shell. */
function quote(path: string): string {
  return /^[A-Za-z0-9_./:=@-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
