/** The commands of `sallyport router` once their options are read. */
import {
  DrainRequest,
  ListCircuitsRequest,
  ListHostsRequest,
  ListTunnelsRequest,
  type Circuit,
  type Host,
  type KickRequest,
  type Link,
  type Tunnel,
} from "@sallyport/proto/router";
import { setTimeout as pause } from "node:timers/promises";
import { withAdmin } from "./admin.ts";
import { CliError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import {
  CIRCUIT_HEADS,
  HOST_HEADS,
  LINK_HEADS,
  TUNNEL_HEADS,
  circuitRow,
  hostJson,
  hostRow,
  linkJson,
  linkRow,
  tunnelRow,
  type On,
} from "./render/data-plane.ts";
import { formatCount } from "./render/quantity.ts";
import { renderTable } from "./render/table.ts";
import { timeOf } from "./router-status.ts";
import { routersOf, theRouter, type NamedRouter } from "./routers.ts";

export interface ListOptions {
  readonly state?: string;
  readonly router?: string;
  readonly workload?: string;
  readonly service?: string;
  readonly json?: boolean;
}

export interface DrainOptions {
  readonly state?: string;
  readonly deadline: number;
  readonly reason: string;
  readonly wait?: boolean;
  readonly json?: boolean;
}

export interface KickOptions {
  readonly state?: string;
  readonly router?: string;
  readonly tunnel?: string;
  readonly circuit?: string;
  readonly reason: string;
  readonly json?: boolean;
}

/** One kind of thing that routers list. */
interface Listing<T> {
  readonly heads: readonly string[];
  readonly row: (item: On<T>, now: number) => readonly string[];
  readonly json: (item: On<T>) => object;
  readonly ask: (
    router: NamedRouter,
    options: ListOptions,
    signal: AbortSignal,
  ) => Promise<{ readonly items: readonly T[]; readonly total: number }>;
}

const same = (item: object): object => item;

const tunnels: Listing<Tunnel> = {
  heads: TUNNEL_HEADS,
  row: tunnelRow,
  json: same,
  ask: async ({ client }, { workload = "" }, signal) => {
    const answer = await client.listTunnels(ListTunnelsRequest.create({ workload }), { signal });
    return { items: answer.tunnels, total: answer.total };
  },
};

const hosts: Listing<Host> = {
  heads: HOST_HEADS,
  row: hostRow,
  json: hostJson,
  ask: async ({ client }, { service = "" }, signal) => {
    const answer = await client.listHosts(ListHostsRequest.create({ service }), { signal });
    return { items: answer.hosts, total: answer.total };
  },
};

const circuits: Listing<Circuit> = {
  heads: CIRCUIT_HEADS,
  row: circuitRow,
  json: same,
  ask: async ({ client }, { service = "", workload = "" }, signal) => {
    const answer = await client.listCircuits(ListCircuitsRequest.create({ service, workload }), { signal });
    return { items: answer.circuits, total: answer.total };
  },
};

const links: Listing<Link> = {
  heads: LINK_HEADS,
  row: linkRow,
  json: linkJson,
  ask: async ({ client }, _options, signal) => {
    const answer = await client.listLinks({}, { signal });
    return { items: answer.links, total: answer.links.length };
  },
};

export type Listed = "tunnels" | "hosts" | "circuits" | "links";

export async function listOnRouters(what: Listed, options: ListOptions, context: Context): Promise<void> {
  switch (what) {
    case "tunnels":
      return await list(tunnels, options, context);
    case "hosts":
      return await list(hosts, options, context);
    case "circuits":
      return await list(circuits, options, context);
    case "links":
      return await list(links, options, context);
  }
}

async function list<T extends object>(listing: Listing<T>, options: ListOptions, context: Context): Promise<void> {
  const { terminal, signal } = context;
  const answers = await withAdmin(context, options, async (admin) =>
    Promise.all(
      routersOf(admin, options.router).map(async (router) => ({
        name: router.name,
        ...(await listing.ask(router, options, signal)),
      })),
    ),
  );
  const items = answers.flatMap(({ name, items: own }) => own.map((item): On<T> => ({ ...item, router: name })));
  const missing = answers.reduce((sum, { total, items: own }) => sum + total - own.length, 0);
  if (options.json === true) for (const item of items) terminal.printJson(listing.json(item));
  else if (items.length === 0) terminal.note(terminal.noteColors.dim("None."));
  else {
    const now = Date.now();
    const [head = "", ...lines] = renderTable([listing.heads, ...items.map((item) => listing.row(item, now))]);
    terminal.print(terminal.colors.dim(head));
    for (const line of lines) terminal.print(line);
  }
  if (missing > 0) terminal.note(terminal.noteColors.dim(`${missing} more; a condition narrows it down.`));
}

export async function drainRouter(name: string | undefined, options: DrainOptions, context: Context): Promise<void> {
  const { terminal, signal } = context;
  await withAdmin(context, options, async (admin) => {
    const router = theRouter(admin, name);
    const request = DrainRequest.create({ deadlineMs: options.deadline * 1_000, reason: options.reason });
    const answer = await router.client.drain(request, { signal });
    if (options.json === true) terminal.printJson({ router: router.name, ...answer });
    else {
      const { tunnels, circuits, deadlineUnixMs } = answer;
      terminal.print(
        `Router ${router.name} takes nothing new. It has ${formatCount(tunnels, "tunnel")} with ${formatCount(circuits, "circuit")}, until ${timeOf(deadlineUnixMs)} UTC at the latest.`,
      );
    }
    if (options.wait !== true) return;
    await drained(router, signal);
    if (options.json !== true) terminal.print(`Router ${router.name} is drained.`);
  });
}

const POLL_MS = 250;

async function drained({ client }: NamedRouter, signal: AbortSignal): Promise<void> {
  while ((await client.getStatus({}, { signal })).drain?.drained !== true) await pause(POLL_MS, undefined, { signal });
}

export async function kickOnRouters(
  workload: string | undefined,
  options: KickOptions,
  context: Context,
): Promise<void> {
  const { terminal, signal } = context;
  const given = targetOf(workload, options);
  const ended = await withAdmin(context, options, async (admin) => {
    const routers = routersOf(admin, options.router);
    const target = { ...given, value: await wholeId(routers, given, signal) };
    return await kickOn(routers, { target, reason: options.reason }, signal);
  });
  if (options.json === true) terminal.printJson(ended);
  else terminal.print(`Ended ${formatCount(ended.tunnels, "tunnel")} and ${formatCount(ended.circuits, "circuit")}.`);
}

/** Lists show where an id begins: as much of it as names one thing is enough. @throws CliError ID_AMBIGUOUS */
async function wholeId(
  routers: readonly NamedRouter[],
  { $case, value }: NonNullable<KickRequest["target"]>,
  signal: AbortSignal,
): Promise<string> {
  // Every id begins with nothing.
  if ($case === "workload" || value === "") return value;
  const lists = await Promise.all(
    routers.map(async ({ client }) => {
      if ($case === "tunnelId") {
        const listed = await client.listTunnels(ListTunnelsRequest.create(), { signal });
        return listed.tunnels.map(({ tunnelId }) => tunnelId);
      }
      const listed = await client.listCircuits(ListCircuitsRequest.create(), { signal });
      return listed.circuits.map(({ circuitId }) => circuitId);
    }),
  );
  const [found, ...others] = new Set(lists.flat().filter((id) => id.startsWith(value)));
  if (others.length === 0) return found ?? value;
  throw new CliError({
    code: "ID_AMBIGUOUS",
    message: `${others.length + 1} ids begin with "${value}"`,
    remedy: "Give more of it; --json lists have the whole.",
  });
}

/** On each of them; it is an error only when none has it. */
async function kickOn(
  routers: readonly NamedRouter[],
  request: KickRequest,
  signal: AbortSignal,
): Promise<{ readonly tunnels: number; readonly circuits: number }> {
  const answers = await Promise.allSettled(routers.map(({ client }) => client.kick(request, { signal })));
  const ended = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  const [failed] = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
  if (ended.length === 0) throw failed;
  return {
    tunnels: ended.reduce((sum, { tunnels }) => sum + tunnels, 0),
    circuits: ended.reduce((sum, { circuits }) => sum + circuits, 0),
  };
}

function targetOf(workload: string | undefined, { tunnel, circuit }: KickOptions): NonNullable<KickRequest["target"]> {
  const given = [workload, tunnel, circuit].filter((value) => value !== undefined);
  if (given.length !== 1)
    throw new CliError({
      code: "USAGE",
      message: "exactly one target is needed",
      remedy: "Give a workload, --tunnel or --circuit.",
    });
  if (tunnel !== undefined) return { $case: "tunnelId", value: tunnel };
  if (circuit !== undefined) return { $case: "circuitId", value: circuit };
  return { $case: "workload", value: workload ?? "" };
}
