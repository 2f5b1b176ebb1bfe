import { Command, CommanderError } from "commander";
import { addAudit } from "./commands/audit.ts";
import { addEnroll } from "./commands/enroll.ts";
import { addForward } from "./commands/forward.ts";
import { addHost } from "./commands/host.ts";
import { addMcp } from "./commands/mcp.ts";
import { addPolicy } from "./commands/policy.ts";
import { addReinstate, addRevoke } from "./commands/revoke.ts";
import { addStatus } from "./commands/status.ts";
import { addToken } from "./commands/token.ts";
import { addUp } from "./commands/up.ts";
import type { Context } from "./context.ts";
import { exitCode, exitCodeHelp, type ExitCode } from "./exit-code.ts";
import { failureOf, redact } from "./failure.ts";
import { renderFailure } from "./render/failure.ts";

/** Runs one command line. @returns its exit status. */
export async function runCli(args: readonly string[], context: Context): Promise<ExitCode> {
  const { terminal, signal } = context;
  const program = createProgram(context);
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    if (signal.aborted) return exitCode.interrupted;
    const failure = failureOf(error);
    if (args.includes("--json")) terminal.printJson({ ok: false, error: failure });
    terminal.note(renderFailure(failure, terminal.noteColors));
    return failure.exitCode;
  }
}

function createProgram(context: Context): Command {
  const { terminal } = context;
  const program = new Command("sallyport")
    .description("Identity-first reachability for AI agents, MCP servers and LLM endpoints.")
    .version("0.1.0")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport up                                                start a network here
  $ sallyport policy apply ./policy                             say who may reach what
  $ sallyport token create agent | sallyport enroll --profile agent
  $ sallyport host files --mcp -- npx -y @modelcontextprotocol/server-filesystem ./docs
  $ sallyport mcp config files --client claude-desktop          what to paste into an MCP client
  $ sallyport audit tail                                        watch who calls what

${exitCodeHelp}`,
    )
    .showHelpAfterError("(--help shows what there is, with examples)")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(redact(text)),
      getOutHasColors: () => terminal.colors.isColorSupported,
      getErrHasColors: () => terminal.noteColors.isColorSupported,
    });
  for (const add of [
    addUp,
    addStatus,
    addPolicy,
    addToken,
    addEnroll,
    addHost,
    addMcp,
    addForward,
    addAudit,
    addRevoke,
    addReinstate,
  ])
    add(program, context);
  for (const command of allCommands(program)) command.exitOverride().copyInheritedSettings(program);
  return program;
}

function allCommands(command: Command): readonly Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}
