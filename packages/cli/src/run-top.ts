import { withAdmin } from "./admin.ts";
import type { Context } from "./context.ts";
import { renderTop, topJson, topLine } from "./render/top.ts";
import { routersOf, type NamedRouter } from "./routers.ts";
import { followRouter, type RouterView } from "./top/router-view.ts";
import { Screen } from "./top/screen.ts";
import { untilStopped } from "./until-stopped.ts";

export interface TopOptions {
  readonly state?: string;
  readonly router?: string;
  readonly interval: number;
  readonly count?: number;
  readonly json?: boolean;
}

/** On a terminal one view that is drawn anew; anywhere else a line per router and interval. */
export async function runTop(options: TopOptions, context: Context): Promise<void> {
  const { terminal } = context;
  await withAdmin(context, options, async (admin) => {
    const routers = routersOf(admin, options.router);
    const draws = options.json !== true && options.count === undefined && terminal.stdout.isTTY === true;
    if (draws) await draw(admin.network.trustDomain, routers, options, context);
    else await print(routers, options, context);
  });
}

async function draw(
  network: string,
  routers: readonly NamedRouter[],
  { interval }: TopOptions,
  { terminal, signal }: Context,
): Promise<void> {
  const leave = new AbortController();
  const until = AbortSignal.any([signal, leave.signal]);
  const views = new Map<string, RouterView>(routers.map(({ name }) => [name, { kind: "connecting", name }]));
  const redraw = (): void => {
    const view = { network, routers: [...views.values()], now: Date.now() };
    screen.draw(renderTop(view, screen.columns, terminal.colors));
  };
  using screen = new Screen(terminal, { onLeave: () => leave.abort(), onResize: () => redraw() });
  redraw();
  const show = (view: RouterView): void => {
    views.set(view.name, view);
    redraw();
  };
  await Promise.all(routers.map((router) => followRouter(router, interval * 1_000, until, show)));
}

async function print(
  routers: readonly NamedRouter[],
  { interval, count, json }: TopOptions,
  { terminal, signal }: Context,
): Promise<void> {
  const enough = new AbortController();
  const until = AbortSignal.any([signal, enough.signal]);
  const left = new Map(routers.map(({ name }) => [name, count ?? Number.POSITIVE_INFINITY]));
  const show = (view: RouterView): void => {
    const before = left.get(view.name) ?? 0;
    if (before === 0) return;
    left.set(view.name, before - 1);
    if (json === true) terminal.printJson(topJson(view));
    else terminal.print(topLine(view, Date.now()));
    if ([...left.values()].every((views) => views === 0)) enough.abort();
  };
  await untilStopped(until, Promise.all(routers.map((router) => followRouter(router, interval * 1_000, until, show))));
}
