import { Option, type Command } from "commander";
import type { Context } from "../context.ts";

interface UpOptions {
  readonly state?: string;
  readonly listen?: string;
  readonly publicAddress?: string;
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
    .option("--listen <host:port>", "the router's one port, for a new network (default: a free port of 127.0.0.1)")
    .option("--public-address <host:port>", "where workloads reach the router, when that is not where it listens")
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
  $ sallyport up --json | head -1

The state folder holds the network; the keys that open it lie apart, under $XDG_DATA_HOME/sallyport/keys.`,
    )
    .action(async (options: UpOptions) => {
      const { runUp } = await import("../run-up.ts");
      await runUp(options, context);
    });
}
