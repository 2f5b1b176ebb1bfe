/** The view of `top`: lines that fit a width, and single lines for whoever is no terminal. */
import type { Colors } from "../terminal.ts";
import type { RouterView } from "../top/router-view.ts";
import { linkStateWord, nameOf } from "./data-plane.ts";
import { printable } from "./printable.ts";
import { formatBytes, formatCount, formatMs } from "./quantity.ts";
import { renderTable } from "./table.ts";

type Live = Extract<RouterView, { kind: "live" }>;

export interface TopView {
  readonly network: string;
  readonly routers: readonly RouterView[];
  readonly now: number;
}

const BUSIEST_SHOWN = 10;

export function renderTop(view: TopView, columns: number, colors: Colors): readonly string[] {
  const { bold, dim, red } = colors;
  const live = view.routers.filter((router) => router.kind === "live");
  const title = `${printable(view.network)}  ${formatCount(view.routers.length, "router")}  ${time(view.now)} UTC  q leaves`;
  const lines: Line[] = [
    { text: title, paint: bold },
    { text: "" },
    ...table(ROUTER_HEADS, view.routers.map(routerRow), dim),
    ...view.routers.filter(({ kind }) => kind === "away").map((router) => ({ text: awayText(router), paint: red })),
    ...section("Links", LINK_HEADS, live.flatMap(linkRows), colors),
    ...section("Busiest circuits", CIRCUIT_HEADS, busiestCircuits(live), colors),
    ...section("Busiest workloads", WORKLOAD_HEADS, busiestWorkloads(live), colors),
    ...section("Shed or ended by a limit, since the start", SHED_HEADS, live.flatMap(shedRows), colors),
  ];
  return lines.map(({ text, paint = (plain: string) => plain }) => paint(text.slice(0, columns)));
}

/** One router in one line. */
export function topLine(router: RouterView, now: number): string {
  const start = `${time(now)} router ${printable(router.name)}`;
  if (router.kind !== "live") return `${start} ${router.kind === "away" ? awayText(router) : "connecting"}`;
  const { figures, rates } = router;
  return [
    start,
    ...(figures.drain === undefined ? [] : [figures.drain.drained ? "drained" : "draining"]),
    `cpu ${rates.cpuPercent.toFixed(0)}%`,
    `memory ${formatBytes(figures.residentBytes)}`,
    `loop ${formatMs(figures.eventLoopDelayP99Ms)}`,
    `tunnels ${figures.tunnels}`,
    `circuits ${figures.circuits}`,
    `hosts ${figures.hostsUp}/${figures.hosts} up`,
    `links ${figures.links}`,
    `${megabytes(rates.bytesPerSecond)} MB/s`,
    `opens ${perSecond(rates.opensPerSecond)}/s`,
    `refused ${perSecond(rates.refusalsPerSecond)}/s`,
    `shed ${perSecond(rates.shedPerSecond)}/s`,
  ].join("  ");
}

/** One router as an object of `--json`. */
export function topJson(router: RouterView): object {
  if (router.kind !== "live") return { router: router.name, ok: false, why: router.kind === "away" ? router.why : "" };
  const { name, figures, rates, links } = router;
  return {
    router: name,
    ok: true,
    ...figures,
    rates,
    linkStates: links.map((link) => ({ ...link, state: linkStateWord(link.state) })),
  };
}

interface Line {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

const ROUTER_HEADS = [
  "ROUTER",
  "STATE",
  "CPU",
  "MEMORY",
  "LOOP",
  "TUNNELS",
  "CIRCUITS",
  "HOSTS UP",
  "MB/S",
  "OPENS/S",
  "REFUSED/S",
  "SHED/S",
  "QUEUED",
];

function routerRow(router: RouterView): readonly string[] {
  if (router.kind !== "live") return [printable(router.name), router.kind];
  const { name, figures, rates } = router;
  return [
    printable(name),
    figures.drain === undefined ? "up" : figures.drain.drained ? "drained" : "draining",
    `${rates.cpuPercent.toFixed(0)} %`,
    formatBytes(figures.residentBytes),
    formatMs(figures.eventLoopDelayP99Ms),
    String(figures.tunnels),
    String(figures.circuits),
    `${figures.hostsUp}/${figures.hosts}`,
    megabytes(rates.bytesPerSecond),
    perSecond(rates.opensPerSecond),
    perSecond(rates.refusalsPerSecond),
    perSecond(rates.shedPerSecond),
    formatBytes(figures.queuedBytes),
  ];
}

function awayText(router: RouterView): string {
  return router.kind === "away" ? `router ${printable(router.name)} is away: ${printable(router.why)}` : "";
}

const LINK_HEADS = ["FROM", "TO", "STATE", "ROUND TRIP", "STREAMS", "HOSTS", "QUEUED"];

function linkRows({ name, links }: Live): readonly (readonly string[])[] {
  return links.map((link) => [
    printable(name),
    nameOf(link.routerId),
    linkStateWord(link.state) + (link.lastFailure === "" ? "" : `: ${printable(link.lastFailure)}`),
    link.roundTripMs === undefined ? "-" : formatMs(link.roundTripMs),
    String(link.streams),
    String(link.hosts),
    formatBytes(link.queuedBytes),
  ]);
}

const CIRCUIT_HEADS = ["SERVICE", "DIALER", "HOST", "MB/S", "SO FAR", "ROUTER"];

function busiestCircuits(live: readonly Live[]): readonly (readonly string[])[] {
  return live
    .flatMap(({ name, figures }) =>
      figures.busiestCircuits.flatMap(({ circuit, bytesPerSecond }) =>
        circuit === undefined ? [] : [{ name, circuit, bytesPerSecond }],
      ),
    )
    .toSorted((a, b) => b.bytesPerSecond - a.bytesPerSecond)
    .slice(0, BUSIEST_SHOWN)
    .map(({ name, circuit, bytesPerSecond }) => [
      printable(circuit.service),
      nameOf(circuit.dialerId),
      nameOf(circuit.hostId),
      megabytes(bytesPerSecond),
      formatBytes(circuit.bytesFromDialer + circuit.bytesFromHost),
      printable(name),
    ]);
}

const WORKLOAD_HEADS = ["WORKLOAD", "MB/S", "CIRCUITS", "ROUTER"];

function busiestWorkloads(live: readonly Live[]): readonly (readonly string[])[] {
  return live
    .flatMap(({ name, figures }) => figures.busiestWorkloads.map((workload) => ({ name, ...workload })))
    .toSorted((a, b) => b.bytesPerSecond - a.bytesPerSecond)
    .slice(0, BUSIEST_SHOWN)
    .map(({ name, spiffeId, bytesPerSecond, circuits }) => [
      nameOf(spiffeId),
      megabytes(bytesPerSecond),
      String(circuits),
      printable(name),
    ]);
}

const SHED_HEADS = ["LIMIT", "TIMES", "ROUTER"];

function shedRows({ name, figures }: Live): readonly (readonly string[])[] {
  return Object.entries(figures.shed).map(([limit, times]) => [printable(limit), String(times), printable(name)]);
}

/** Nothing at all where there is nothing to show. */
function section(
  title: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  { bold, dim }: Colors,
): readonly Line[] {
  return rows.length === 0 ? [] : [{ text: "" }, { text: title, paint: bold }, ...table(heads, rows, dim)];
}

function table(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  paintHead: (text: string) => string,
): readonly Line[] {
  const [head = "", ...lines] = renderTable([heads, ...rows]);
  return [{ text: head, paint: paintHead }, ...lines.map((text) => ({ text }))];
}

function megabytes(bytesPerSecond: number): string {
  return (bytesPerSecond / 1e6).toFixed(bytesPerSecond < 1e7 ? 2 : 1);
}

function perSecond(rate: number): string {
  return rate === 0 || rate >= 100 ? rate.toFixed(0) : rate.toFixed(1);
}

function time(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(11, 19);
}
