import { InvalidArgumentError, Option, type Command } from "commander";
import type { Event, Filter } from "@sallyport/proto/audit";
import type { Context } from "../context.ts";
import { parseDuration } from "../duration.ts";
import { renderEvent } from "../render/event.ts";
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
  readonly text?: string;
  readonly json?: boolean;
}

interface SearchOptions extends FilterOptions {
  readonly since?: number;
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
    .option("--limit <n>", "at most so many, 1 to 1000", parseLimit, 100)
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport audit search --decision deny --since 1h
  $ sallyport audit search --service files --tool read_text_file --text payroll
  $ sallyport audit search --decision-id 0199b1c2-…        explain a refusal`,
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
    .option("--text <words>", "words in arguments, result or reason")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "one JSON object per event, every field");
}

async function tail(options: FilterOptions, context: Context): Promise<void> {
  const { withAdmin } = await import("../admin.ts");
  const { signal } = context;
  await withAdmin(context, options, async ({ audit }) => {
    for await (const event of audit.tail({ filter: filterOf(options) }, { signal })) show(event, options, context);
  });
}

async function search(options: SearchOptions, context: Context): Promise<void> {
  const { withAdmin } = await import("../admin.ts");
  const { signal } = context;
  const filter = {
    ...filterOf(options),
    sinceUnixMs: options.since === undefined ? 0 : Date.now() - options.since * 1_000,
  };
  const { events } = await withAdmin(context, options, ({ audit }) =>
    audit.search({ filter, limit: options.limit }, { signal, timeoutMs: 30_000 }),
  );
  for (const event of events) show(event, options, context);
  if (events.length === 0 && options.json !== true) context.terminal.note("Nothing matches.");
}

function show(event: Event, { json }: FilterOptions, { terminal }: Context): void {
  if (json === true) terminal.printJson(event);
  else terminal.print(renderEvent(event, terminal.colors));
}

function filterOf(options: FilterOptions): Filter {
  return {
    actorName: options.actor ?? "",
    service: options.service ?? "",
    tool: options.tool ?? "",
    kind: options.kind ?? "",
    decision: options.decision ?? "",
    decisionId: options.decisionId ?? "",
    circuitId: options.circuit ?? "",
    vantage: options.vantage ?? "",
    sinceUnixMs: 0,
    untilUnixMs: 0,
    text: options.text ?? "",
  };
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1_000) return limit;
  throw new InvalidArgumentError("It must be a whole number from 1 to 1000.");
}
