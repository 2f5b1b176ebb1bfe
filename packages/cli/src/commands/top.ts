import { InvalidArgumentError, Option, type Command } from "commander";
import type { Context } from "../context.ts";
import { parseDuration } from "../duration.ts";
import type { TopOptions } from "../run-top.ts";
import { STATE_FLAG, STATE_HELP } from "./state-flag.ts";

export function addTop(program: Command, context: Context): void {
  program
    .command("top")
    .description("what the routers do just now: CPU, memory, tunnels, circuits, hosts, bytes, opens, refusals, links")
    .addOption(
      new Option("--interval <duration>", "between two looks, from 1s").argParser(parseInterval).default(1, "1s"),
    )
    .option("--count <n>", "print so many looks at each router, and end", parseCount)
    .option("--router <name>", "one router (default: all)")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "one JSON object per router and look")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport top
  $ sallyport top --router 2 --interval 5s
  $ sallyport top --json --count 2 | jq '{router, rates}'
  $ sallyport top --count 60 > figures.txt

On a terminal the view is drawn in place; q or Ctrl-C leaves. Anywhere else, and with --count, each look is a line per router.
Rates begin with the second look: the first has nothing to compare with.`,
    )
    .action(async (options: TopOptions) => {
      const { runTop } = await import("../run-top.ts");
      await runTop(options, context);
    });
}

function parseInterval(text: string): number {
  const seconds = parseDuration(text);
  if (seconds >= 1 && seconds <= 3_600) return seconds;
  throw new InvalidArgumentError("It must be from 1s to 1h.");
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new InvalidArgumentError("It must be a whole number from 1.");
}
