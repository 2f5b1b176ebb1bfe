import { Command, CommanderError } from "commander";
import { addAudit } from "./commands/audit.ts";
import { addEnroll } from "./commands/enroll.ts";
import { addForward } from "./commands/forward.ts";
import { addHost } from "./commands/host.ts";
import { addMcp } from "./commands/mcp.ts";
import { addPolicy } from "./commands/policy.ts";
import { addReinstate, addRevoke } from "./commands/revoke.ts";
import { addRouter } from "./commands/router.ts";
import { addStatus } from "./commands/status.ts";
import { addToken } from "./commands/token.ts";
import { addTop } from "./commands/top.ts";
import { addUp } from "./commands/up.ts";
import { ToldError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import { exitCode, exitCodeHelp, type ExitCode } from "./exit-code.ts";
import { failureOf, redact, type Failure } from "./failure.ts";
import { renderFailure } from "./render/failure.ts";

/** Runs one command line. @returns its exit status. */
export async function runCli(args: readonly string[], context: Context): Promise<ExitCode> {
  const { terminal, signal } = context;
  const program = createProgram(context);
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode.ok;
  } catch (error) {
    if (signal.aborted) return exitCode.interrupted;
    if (error instanceof ToldError) return error.exitCode;
    const isJson = wantsJson(args);
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exitCode.ok;
      if (isJson) terminal.printJson({ ok: false, error: usageFailure(error) });
      return exitCode.usage;
    }
    const failure = failureOf(error);
    if (isJson) terminal.printJson({ ok: false, error: failure });
    terminal.note(renderFailure(failure, terminal.noteColors));
    return failure.exitCode;
  }
}

/** What stands after `--` belongs to somebody else's command. */
function wantsJson(args: readonly string[]): boolean {
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  return own.includes("--json");
}

/** A wrong command line, which the parser has already told a person. */
function usageFailure({ message }: CommanderError): Failure {
  return {
    code: "USAGE",
    message: redact(message.replace(/^error: /, "")),
    remedy: "--help shows what there is, with examples.",
    exitCode: exitCode.usage,
    field: "",
    decisionId: "",
    facts: {},
  };
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
    addRouter,
    addTop,
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
