import { Option, type Command } from "commander";
import type { Context } from "../context.ts";
import { CliError } from "../cli-error.ts";
import type { HostOptions } from "../run-host.ts";

const collect = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value];

export function addHost(program: Command, context: Context): void {
  program
    .command("host")
    .argument("<service>", "the service, as policy names it")
    .argument("[command...]", "with --mcp: the MCP server's command, after --")
    .description("put a service in the dark: reachable through the network, listening nowhere")
    .option("--mcp", "host an MCP server that speaks stdio: one confined process per circuit")
    .addOption(new Option("--tcp <host:port>", "host a TCP server that this machine reaches").conflicts("mcp"))
    .option("--profile <name>", "identity to host as (default: $SALLYPORT_PROFILE, then the only profile)")
    .addOption(
      new Option("--network <kind>", "network of the MCP server's process").choices(["none", "host"]).default("host"),
    )
    .addOption(
      new Option("--env <NAME>", "pass this variable on to the MCP server; again for more")
        .argParser(collect)
        .default([], "none"),
    )
    .addOption(
      new Option("--writable <folder>", "folder that the MCP server may write to; again for more")
        .argParser(collect)
        .default([], "none"),
    )
    .addOption(
      new Option("--cost <number>", "among hosts of one precedence, the lower cost is chosen; 0 to 65535")
        .argParser(Number)
        .default(0),
    )
    .addOption(
      new Option("--precedence <level>", "chosen first, as usual, or only while no other host is up")
        .choices(["required", "default", "failed"])
        .default("default"),
    )
    .option("--verbose", "say more on standard error")
    .option("--json", "one JSON object when it is hosted")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport host files --mcp -- npx -y @modelcontextprotocol/server-filesystem ./docs
  $ sallyport host everything --mcp --network none -- node server.js stdio
  $ sallyport host db --tcp 127.0.0.1:5432

The MCP server gets PATH, LANG and a private HOME, nothing else, and no way to this machine's keys. Runs until Ctrl-C.
It is started for each circuit. npx fetches a package each time unless it is installed in this folder: \`npm install\` it first.
Behind a proxy, pass on what npm needs: --env HTTPS_PROXY --env NODE_EXTRA_CA_CERTS.`,
    )
    .action(async (service: string, command: readonly string[], options: HostOptions) => {
      if ((options.mcp === true) === (options.tcp !== undefined)) {
        throw new CliError({
          code: "USAGE",
          message: "what to host is missing",
          remedy: "Give --mcp -- <command…>, or --tcp <host:port>.",
        });
      }
      if (options.mcp === true && command.length === 0) {
        throw new CliError({
          code: "USAGE",
          message: "the MCP server's command is missing",
          remedy: `Put it after --: sallyport host ${service} --mcp -- node server.js`,
        });
      }
      const { runHost } = await import("../run-host.ts");
      await runHost(service, command, options, context);
    });
}
