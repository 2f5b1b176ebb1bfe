import { InvalidArgumentError, Option, type Command } from "commander";
import type { Context } from "../context.ts";

interface UpOptions {
  readonly state?: string;
  readonly routers?: number;
  readonly listen?: readonly string[];
  readonly publicAddress?: readonly string[];
  readonly trustDomain?: string;
  readonly json?: boolean;
  readonly logLevel?: string;
}

export function addUp(program: Command, context: Context): void {
  program
    .command("up")
    .description("start a network on this machine and keep it running until Ctrl-C")
    .option(
      "--state <folder>",
      "state folder, made when it is not there (default: $SALLYPORT_STATE, then .sallyport in the checkout)",
    )
    .option(
      "--routers <n>",
      "how many routers run, each a process of its own (default: as many as last time, at first 1)",
      wholeNumber,
    )
    .option(
      "--listen <host:port>",
      "the one port of a new network's routers; repeated: one for each of them (default: a free port of 127.0.0.1)",
      append,
    )
    .option(
      "--public-address <host:port>",
      "where workloads reach the routers, when that is not where they listen; repeated: one for each of them",
      append,
    )
    .option("--trust-domain <name>", "trust domain of a new network (default: sallyport.local)")
    .addOption(
      new Option("--log-level <level>", "of the services")
        .choices(["trace", "debug", "info", "warn", "error"])
        .default("info"),
    )
    .option("--json", "one JSON object per line")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport up
  $ sallyport up --state /srv/sallyport --listen 0.0.0.0:8443 --public-address sallyport.acme.internal:8443
  $ sallyport up --routers 3
  $ sallyport up --routers 2 --listen 127.0.0.1:8443 --listen 127.0.0.1:8444
  $ sallyport up --json | head -1

Routers of one machine share their port; a workload keeps tunnels to two of them.
Limits of the routers come from the environment, such as SALLYPORT_LIMIT_DRAIN_GRACE_MS=30000 (docs/limits.md).
The state folder holds the network; the keys that open it lie apart, under $XDG_DATA_HOME/sallyport/keys.`,
    )
    .action(async (options: UpOptions) => {
      const { runUp } = await import("../run-up.ts");
      await runUp(options, context);
    });
}

function wholeNumber(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number.");
}

function append(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
