import { Option, type Command } from "commander";
import type { Context } from "../context.ts";
import { parseDuration } from "../duration.ts";
import type { DrainOptions, KickOptions, Listed, ListOptions } from "../run-router.ts";
import { STATE_FLAG, STATE_HELP } from "./state-flag.ts";

const WORKLOAD_HELP = "of one workload: its name, or a whole SPIFFE ID";
const REASON_HELP = "for the record";

export function addRouter(program: Command, context: Context): void {
  const router = program.command("router").description("what the routers hold, and what ends it");
  addList(router, context);
  addTunnels(router, context);
  addHosts(router, context);
  addCircuits(router, context);
  addLinks(router, context);
  addDrain(router, context);
  addKick(router, context);
}

function addList(router: Command, context: Context): void {
  router
    .command("list")
    .description("the routers: where they are, whether they take new work, what they hold")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "one JSON object per router")
    .addHelpText(
      "after",
      "\nExamples:\n  $ sallyport router list\n  $ sallyport router list --json | jq .drain\n\nStatus 4 when a router does not answer.",
    )
    .action(async (options: ListOptions) => {
      const { listRouters } = await import("../list-routers.ts");
      await listRouters(options, context);
    });
}

/** A command that lists one kind of thing on one router or on all. */
function listing(router: Command, context: Context, what: Listed, description: string): Command {
  return router
    .command(what)
    .description(description)
    .option("--router <name>", "of one router (default: of all)")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "one JSON object per line")
    .action(async (options: ListOptions) => {
      const { listOnRouters } = await import("../run-router.ts");
      await listOnRouters(what, options, context);
    });
}

function addTunnels(router: Command, context: Context): void {
  listing(router, context, "tunnels", "workloads that are connected, and what they move")
    .option("--workload <name>", WORKLOAD_HELP)
    .addHelpText(
      "after",
      "\nExamples:\n  $ sallyport router tunnels\n  $ sallyport router tunnels --workload agent --json",
    );
}

function addHosts(router: Command, context: Context): void {
  listing(router, context, "hosts", "who hosts what, whether a probe found it up, and when it was last seen to be")
    .option("--service <name>", "of one service")
    .addHelpText("after", "\nExamples:\n  $ sallyport router hosts\n  $ sallyport router hosts --service files --json");
}

function addCircuits(router: Command, context: Context): void {
  listing(router, context, "circuits", "who talks to whom now, and how much")
    .option("--service <name>", "of one service")
    .option("--workload <name>", `${WORKLOAD_HELP}; as dialer or as host`)
    .addHelpText(
      "after",
      "\nExamples:\n  $ sallyport router circuits\n  $ sallyport router circuits --workload agent\n  $ sallyport router circuits --service files --json | jq .bytesFromHost",
    );
}

function addLinks(router: Command, context: Context): void {
  listing(router, context, "links", "links between routers, and how far away the others are").addHelpText(
    "after",
    "\nExamples:\n  $ sallyport router links\n  $ sallyport router links --router 1 --json",
  );
}

function addDrain(router: Command, context: Context): void {
  router
    .command("drain")
    .argument("[router]", "its name, where there are several")
    .description("take nothing new, let what runs go on until the deadline, then end it")
    .addOption(new Option("--deadline <duration>", "from now, at most 1h").argParser(parseDuration).default(60, "60s"))
    .addOption(new Option("--reason <text>", REASON_HELP).default("", "none"))
    .option("--wait", "until nothing runs any more")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "print { router, deadlineUnixMs, tunnels, circuits }")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport router drain --deadline 5m --reason "upgrade"
  $ sallyport router drain 2 --deadline 10m --wait              returns when nothing runs there any more
  $ sallyport router drain 2 --deadline 0s                      end now what still runs

A further drain moves the deadline. A drained router stays as it is until its process is stopped or restarted.`,
    )
    .action(async (name: string | undefined, options: DrainOptions) => {
      const { drainRouter } = await import("../run-router.ts");
      await drainRouter(name, options, context);
    });
}

function addKick(router: Command, context: Context): void {
  router
    .command("kick")
    .argument("[workload]", "all tunnels of a workload: its name, or a whole SPIFFE ID for one instance")
    .description("end tunnels or circuits now; nothing is denied for later")
    .addOption(new Option("--tunnel <id>", "one tunnel, by its id or the beginning of it").conflicts("circuit"))
    .option("--circuit <id>", "one circuit, by its id or the beginning of it")
    .addOption(new Option("--reason <text>", REASON_HELP).default("", "none"))
    .option("--router <name>", "on one router (default: wherever it is)")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "print { tunnels, circuits }")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport router kick agent --reason "stuck"
  $ sallyport router kick --circuit 0b9f1c2e

Who may, comes back at once. \`sallyport revoke\` denies.`,
    )
    .action(async (workload: string | undefined, options: KickOptions) => {
      const { kickOnRouters } = await import("../run-router.ts");
      await kickOnRouters(workload, options, context);
    });
}
