import {
  Connector,
  hostMcp,
  hostTcp,
  tuneHeapForBuffers,
  type Hosting,
  type HostPrecedence,
} from "@sallyport/connector";
import { connectorLog } from "./connector-log.ts";
import type { Context } from "./context.ts";
import { chooseProfile } from "./profile-choice.ts";
import { untilStopped } from "./until-stopped.ts";

export interface HostOptions {
  readonly profile?: string;
  readonly mcp?: boolean;
  readonly tcp?: string;
  readonly network: "none" | "host";
  readonly env: readonly string[];
  readonly writable: readonly string[];
  readonly cost: number;
  readonly precedence: HostPrecedence;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** Hosts until the signal. A first refusal ends it with the refusal; later ones are waited out, since policy can change. */
export async function runHost(
  service: string,
  command: readonly string[],
  options: HostOptions,
  context: Context,
): Promise<void> {
  const { terminal, signal } = context;
  tuneHeapForBuffers();
  const profile = await chooseProfile(options.profile, context);
  await using connector = await Connector.open({
    profile,
    log: connectorLog(terminal, options.verbose ?? false),
    signal,
  });
  await using owned = new AsyncDisposableStack();
  const { hosting, how } = await open(connector, service, command, options, context, owned);
  await untilStopped(signal, hosting.ready);
  if (signal.aborted) return;
  const { id } = connector.svid.identity;
  if (options.json === true) terminal.printJson({ kind: "hosted", service, spiffeId: id.uri, ...how });
  else terminal.note(`${terminal.noteColors.green("✓")} ${service} is hosted, dark, as ${id.uri}. Ctrl-C ends it.`);
  await untilStopped(signal);
}

async function open(
  connector: Connector,
  service: string,
  command: readonly string[],
  options: HostOptions,
  context: Context,
  owned: AsyncDisposableStack,
): Promise<{ readonly hosting: Hosting; readonly how: Readonly<Record<string, string>> }> {
  const { env, terminal } = context;
  const { cost, precedence } = options;
  if (options.tcp !== undefined) {
    return {
      hosting: owned.use(hostTcp({ connector, service, target: options.tcp, cost, precedence })),
      how: { target: options.tcp },
    };
  }
  const { networkFolders } = await import("./network-folders.ts");
  const [executable = "", ...args] = command;
  const passed = Object.fromEntries(
    options.env.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
  const mcp = owned.use(
    await hostMcp({
      connector,
      service,
      command: executable,
      args,
      env: passed,
      network: options.network,
      writable: options.writable,
      hidden: await networkFolders(context),
      cost,
      precedence,
      onStderr: (text) => void terminal.stderr.write(text),
    }),
  );
  return { hosting: mcp.hosting, how: { confinement: mcp.confinement.kind, network: options.network } };
}
