import { InvalidArgumentError, Option, type Command } from "commander";
import { type Event, Filter } from "@sallyport/proto/audit";
import type { Context } from "../context.ts";
import { parseDuration } from "../duration.ts";
import { EventLines } from "../render/event.ts";
import { STATE_FLAG, STATE_HELP } from "./state-flag.ts";

interface FilterOptions {
  readonly state?: string;
  readonly actor?: string;
  readonly service?: string;
  readonly tool?: string;
  readonly kind?: string;
  readonly decision?: string;
  readonly decisionId?: string;
  readonly circuit?: string;
  readonly vantage?: string;
  readonly instance?: string;
  readonly host?: string;
  readonly outcome?: string;
  readonly error?: string;
  readonly rule?: string;
  readonly text?: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

interface SearchOptions extends FilterOptions {
  readonly since?: number;
  readonly until?: number;
  readonly limit: number;
}

export function addAudit(program: Command, context: Context): void {
  const audit = program
    .command("audit")
    .description("the record: who reached and called what, who decided, what came back");
  withFilters(audit.command("tail").description("events from now on, as they become durable, until Ctrl-C"))
    .addHelpText(
      "after",
      "\nExamples:\n  $ sallyport audit tail\n  $ sallyport audit tail --actor agent --decision deny\n  $ sallyport audit tail --json | jq .tool",
    )
    .action((options: FilterOptions) => tail(options, context));
  withFilters(audit.command("search").description("events that match, newest first"))
    .option("--since <duration>", "no older than this, such as 1h", parseDuration)
    .option("--until <duration>", "at least as old as this, such as 10m", parseDuration)
    .option("--limit <n>", "at most so many, 1 to 1000", parseLimit, 100)
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport audit search --decision deny --since 1h
  $ sallyport audit search --service files --tool read_text_file --text payroll
  $ sallyport audit search --decision-id 01a2093e-4804-730d-8f18-1807c3e8f300     explain a refusal`,
    )
    .action((options: SearchOptions) => search(options, context));
}

function withFilters(command: Command): Command {
  return command
    .option("--actor <name>", "who acted: a workload's name")
    .option("--service <name>", "the service that was reached")
    .option("--tool <name>", "the tool that was called")
    .option("--kind <kind>", "such as call.finished, circuit.refused, identity.revoked")
    .addOption(new Option("--decision <decision>", "how policy decided").choices(["allow", "deny"]))
    .option("--decision-id <id>", "one decision")
    .option("--circuit <id>", "one circuit")
    .addOption(
      new Option("--vantage <witness>", "who saw it").choices([
        "router",
        "host",
        "dialer",
        "ca",
        "enrollment",
        "policy",
        "audit",
      ]),
    )
    .option("--instance <spiffe-id>", "who acted: one instance of a workload, or an administrator")
    .option("--host <spiffe-id>", "the workload that hosted it")
    .option("--outcome <outcome>", "how it ended, such as ok, denied, revoked, truncated, tool_error")
    .option("--error <code>", "such as POLICY_DENIED, TOKEN_ALREADY_USED")
    .option("--rule <id>", "among the rules that decided")
    .option("--text <words>", "words in arguments, result, reason or attributes")
    .option("--all", "certificate issuances too, which are many")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "one JSON object per event, all events, every field");
}

async function tail(options: FilterOptions, context: Context): Promise<void> {
  const { withAdmin } = await import("../admin.ts");
  const { terminal, signal } = context;
  const lines = new EventLines(terminal.colors);
  const isShown = shownBy(options);
  await withAdmin(context, options, async ({ audit }) => {
    if (terminal.stdout.isTTY === true && options.json !== true)
      terminal.note(terminal.noteColors.dim("Events from now on. Ctrl-C ends it."));
    for await (const event of audit.tail({ filter: filterOf(options) }, { signal })) {
      if (options.json === true) terminal.printJson(event);
      else if (isShown(event)) for (const line of lines.of(event)) terminal.print(line);
    }
  });
}

async function search(options: SearchOptions, context: Context): Promise<void> {
  const { withAdmin } = await import("../admin.ts");
  const { terminal, signal } = context;
  const filter = {
    ...filterOf(options),
    sinceUnixMs: ago(options.since),
    untilUnixMs: ago(options.until),
  };
  const { events } = await withAdmin(context, options, ({ audit }) =>
    audit.search({ filter, limit: options.limit }, { signal, timeoutMs: 30_000 }),
  );
  if (options.json === true) {
    for (const event of events) terminal.printJson(event);
    return;
  }
  const shown = events.filter(shownBy(options));
  const lines = new EventLines(terminal.colors, shown);
  for (const event of shown) for (const line of lines.of(event)) terminal.print(line);
  for (const remark of remarks(events.length, shown.length, options.limit))
    terminal.note(terminal.noteColors.dim(remark));
}

/** What a person should know of what is not on the screen. */
function remarks(found: number, shown: number, limit: number): readonly string[] {
  const hidden = found - shown;
  return [
    ...(found === 0 ? ["Nothing matches."] : []),
    ...(hidden > 0
      ? [`${hidden} certificate issuance${hidden === 1 ? " is" : "s are"} not shown; --all shows them.`]
      : []),
    ...(found === limit ? [`The newest ${limit}; --limit and --since choose others.`] : []),
  ];
}

/** Every command and every service's renewal issues a certificate: on record, and noise to whoever did not ask for it. */
function shownBy({ all, kind, vantage, decisionId, circuit }: FilterOptions): (event: Event) => boolean {
  const asked = [all, kind, vantage, decisionId, circuit].some((option) => option !== undefined);
  return (event) => asked || event.kind !== "svid.issued";
}

function filterOf(options: FilterOptions): Filter {
  return Filter.fromPartial({
    actorName: options.actor ?? "",
    actorId: options.instance ?? "",
    hostId: options.host ?? "",
    service: options.service ?? "",
    tool: options.tool ?? "",
    kind: options.kind ?? "",
    decision: options.decision ?? "",
    decisionId: options.decisionId ?? "",
    circuitId: options.circuit ?? "",
    vantage: options.vantage ?? "",
    outcome: options.outcome ?? "",
    errorCode: options.error ?? "",
    ruleId: options.rule ?? "",
    text: options.text ?? "",
  });
}

/** Milliseconds since 1970, so many seconds ago; 0, which is unbounded, when nothing was said. */
function ago(seconds: number | undefined): number {
  return seconds === undefined ? 0 : Date.now() - seconds * 1_000;
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1_000) return limit;
  throw new InvalidArgumentError("It must be a whole number from 1 to 1000.");
}
