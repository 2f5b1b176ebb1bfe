import { Option, type Command } from "commander";
import type { Context } from "../context.ts";
import { clientNames } from "../mcp-client.ts";
import type { McpOptions } from "../run-mcp.ts";

interface McpConfigOptions {
  readonly client: string;
  readonly profile?: string;
  readonly name?: string;
  readonly json?: boolean;
}

export function addMcp(program: Command, context: Context): void {
  const mcp = program
    .command("mcp")
    .argument("<service>", "the service, as policy names it")
    .description("speak MCP over standard input and output with a dark server: the command of any MCP client")
    .option("--profile <name>", "identity to dial as (default: $SALLYPORT_PROFILE, then the only profile)")
    .option("--verbose", "say more on standard error")
    .enablePositionalOptions()
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport mcp config files --client claude-desktop      what to paste into a client
  $ sallyport mcp files --profile agent                     what the client then runs

Several clients may use one profile at once. What policy refuses is answered as an MCP error that names the rule and the decision.`,
    )
    .action(async (service: string, options: McpOptions) => {
      const { runMcp } = await import("../run-mcp.ts");
      await runMcp(service, options, context);
    });
  mcp
    .command("config")
    .argument("<service>", "the service, as policy names it")
    .description("print what to paste into an MCP client, with absolute paths")
    .addOption(new Option("--client <name>", "the MCP client").choices([...clientNames, "claude"]).default("generic"))
    .option("--profile <name>", "identity that the client acts as (default: $SALLYPORT_PROFILE, then the only profile)")
    .option("--name <name>", "what the client calls the server (default: the service)")
    .option("--json", "print { client, file, config }")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport mcp config files --client claude-desktop --profile agent
  $ sallyport mcp config files --client claude-code | sh
  $ sallyport mcp config files --client vscode > .vscode/mcp.json`,
    )
    .action(async (service: string, options: McpConfigOptions) => {
      const { printMcpConfig } = await import("../print-mcp-config.ts");
      await printMcpConfig(service, options, context);
    });
}
