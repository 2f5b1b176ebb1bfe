import type { Command } from "commander";
import { ToldError } from "../cli-error.ts";
import type { Context } from "../context.ts";
import { exitCode } from "../exit-code.ts";
import { STATE_FLAG, STATE_HELP } from "./state-flag.ts";

interface StatusOptions {
  readonly state?: string;
  readonly json?: boolean;
}

export function addStatus(program: Command, context: Context): void {
  program
    .command("status")
    .description("what is up: services, routers, hosts, tunnels, circuits, links, policy, record, cryptography")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  $ sallyport status\n  $ sallyport status --json | jq .hosts\n\nA host is up when a probe through its tunnel, or a circuit, has shown it to be.\nStatus 4 when a service or a router does not answer.",
    )
    .action(async (options: StatusOptions) => {
      const [{ withAdmin }, { readStatus }, { renderStatus, statusJson }] = await Promise.all([
        import("../admin.ts"),
        import("../network-status.ts"),
        import("../render/status.ts"),
      ]);
      const { terminal, signal } = context;
      const status = await withAdmin(context, options, (admin) => readStatus(admin, signal));
      if (options.json === true) terminal.printJson(statusJson(status));
      else for (const line of renderStatus(status, terminal.colors, Date.now())) terminal.print(line);
      if (!status.ok) throw new ToldError(exitCode.unreachable);
    });
}
