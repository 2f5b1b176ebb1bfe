import { Option, type Command } from "commander";
import type { TokenSummary } from "@sallyport/proto/enrollment";
import type { Context } from "../context.ts";
import { parseDuration } from "../duration.ts";
import { formatAge } from "../render/quantity.ts";
import { renderTable } from "../render/table.ts";
import { STATE_FLAG, STATE_HELP } from "./state-flag.ts";

interface CreateOptions {
  readonly state?: string;
  readonly ttl: number;
  readonly keyThumbprint: string;
  readonly json?: boolean;
}

export function addToken(program: Command, context: Context): void {
  const token = program.command("token").description("one-time tokens by which workloads enroll");
  token
    .command("create")
    .argument("<workload>", "name of the workload: lower-case letters, digits, hyphens")
    .description("create a one-time token for one workload; it goes to standard output and is kept nowhere")
    .addOption(
      new Option("--ttl <duration>", "until it dies unused, 10s to 24h").argParser(parseDuration).default(1_800, "30m"),
    )
    .addOption(
      new Option("--key-thumbprint <thumbprint>", "RFC 7638 thumbprint of the only key that may redeem it").default(
        "",
        "any key",
      ),
    )
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "print { tokenId, token, expiresAt }")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport token create agent | sallyport enroll --profile agent
  $ sallyport token create build-7 --ttl 10m > token && scp token build-7:

The token is a secret until it is redeemed. Do not put it on a command line: every user of a machine can read those.`,
    )
    .action((workload: string, options: CreateOptions) => createToken(workload, options, context));
  token
    .command("list")
    .description("tokens and what became of them, without their secrets")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "one JSON object per token")
    .addHelpText("after", "\nExamples:\n  $ sallyport token list\n  $ sallyport token list --json")
    .action((options: { readonly state?: string; readonly json?: boolean }) => listTokens(options, context));
}

async function createToken(workload: string, options: CreateOptions, context: Context): Promise<void> {
  const { withAdmin } = await import("../admin.ts");
  const { terminal, signal } = context;
  const request = { workload, ttlSeconds: options.ttl, keyThumbprint: options.keyThumbprint };
  const { tokenId, token, expiresAtUnixMs } = await withAdmin(context, options, ({ enrollment }) =>
    enrollment.createToken(request, { signal }),
  );
  const expiresAt = new Date(expiresAtUnixMs).toISOString();
  if (options.json === true) {
    terminal.printJson({ tokenId, token, expiresAt });
    return;
  }
  terminal.print(token);
  if (terminal.stdout.isTTY === true)
    terminal.note(
      terminal.noteColors.dim(`for ${workload}, once, until ${expiresAt}: sallyport enroll --profile ${workload}`),
    );
}

async function listTokens(
  options: { readonly state?: string; readonly json?: boolean },
  context: Context,
): Promise<void> {
  const { withAdmin } = await import("../admin.ts");
  const { terminal, signal } = context;
  const { tokens } = await withAdmin(context, options, ({ enrollment }) => enrollment.listTokens({}, { signal }));
  if (options.json === true) {
    for (const token of tokens) terminal.printJson(token);
    return;
  }
  const now = Date.now();
  const newestFirst = tokens.toSorted((a, b) => b.createdAtUnixMs - a.createdAtUnixMs);
  const rows = newestFirst.map((token) => [
    token.tokenId.slice(0, SHORT_ID_CHARACTERS),
    token.workload,
    stateOf(token, now),
    `${formatAge(now - token.createdAtUnixMs)} ago`,
  ]);
  const [heads = "", ...lines] = renderTable([["TOKEN", "WORKLOAD", "STATE", "CREATED"], ...rows]);
  terminal.print(terminal.colors.dim(heads));
  for (const line of lines) terminal.print(line);
}

/** Enough to tell tokens apart; `--json` has the whole. */
const SHORT_ID_CHARACTERS = 8;

function stateOf({ redeemedByInstance, workload, expiresAtUnixMs }: TokenSummary, now: number): string {
  if (redeemedByInstance !== "") return `redeemed by ${workload}/${redeemedByInstance}`;
  return expiresAtUnixMs > now ? `unused, ${formatAge(expiresAtUnixMs - now)} left` : "expired unused";
}
