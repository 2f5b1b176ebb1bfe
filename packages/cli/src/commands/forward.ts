import type { Command } from "commander";
import type { Context } from "../context.ts";

interface ForwardOptions {
  readonly profile?: string;
  readonly listen: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function addForward(program: Command, context: Context): void {
  program
    .command("forward")
    .argument("<service>", "the service, as policy names it")
    .description("a port on this machine's loopback, each connection a circuit to a dark TCP service")
    .option("--listen <host:port>", "loopback address to listen on", "127.0.0.1:0")
    .option("--profile <name>", "identity to dial as (default: $SALLYPORT_PROFILE, then the only profile)")
    .option("--verbose", "say more on standard error")
    .option("--json", "print { kind, address } when it listens")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport forward db --listen 127.0.0.1:5432
  $ psql -h 127.0.0.1 -p 5432`,
    )
    .action((service: string, options: ForwardOptions) => runForward(service, options, context));
}

async function runForward(service: string, options: ForwardOptions, context: Context): Promise<void> {
  const [
    { Connector, forward, tuneHeapForBuffers },
    { chooseProfile },
    { connectorLog },
    { failureOf },
    { renderFailure },
    { untilStopped },
  ] = await Promise.all([
    import("@sallyport/connector"),
    import("../profile-choice.ts"),
    import("../connector-log.ts"),
    import("../failure.ts"),
    import("../render/failure.ts"),
    import("../until-stopped.ts"),
  ]);
  const { terminal, signal } = context;
  tuneHeapForBuffers();
  const profile = await chooseProfile(options.profile, context);
  await using connector = await Connector.open({
    profile,
    log: connectorLog(terminal, options.verbose ?? false),
    signal,
  });
  const onRefused = (error: Error): void => terminal.note(renderFailure(failureOf(error), terminal.noteColors));
  await using forwarding = await forward({ connector, service, listen: options.listen, onRefused });
  if (options.json === true) terminal.printJson({ kind: "listening", service, address: forwarding.address });
  else terminal.note(`${terminal.noteColors.green("✓")} ${forwarding.address} → ${service}. Ctrl-C ends it.`);
  await untilStopped(signal);
}
