import type { GetStatusResponse } from "@sallyport/proto/router";
import { stateWords, type RouterAnswer } from "../router-status.ts";
import type { Answer, NetworkStatus } from "../network-status.ts";
import type { Colors } from "../terminal.ts";
import { hostJson, linkJson, linkStateWord, nameOf, seenUp, stateOf } from "./data-plane.ts";
import { printable } from "./printable.ts";
import { formatAge, formatBytes, formatCount, formatMs } from "./quantity.ts";
import { renderTable } from "./table.ts";

/** The whole status as lines. */
export function renderStatus(status: NetworkStatus, colors: Colors, now: number): readonly string[] {
  const addresses = new Set(status.routers.flatMap((router) => (router.ok ? [printable(router.publicAddress)] : [])));
  return [
    `${colors.bold(status.trustDomain)}  ${colors.dim("routers at")} ${[...addresses].join(", ")}`,
    "",
    ...serviceLines(status, colors),
    "",
    ...dataPlaneLines(status, colors, now),
    ...cryptographyLines(status, colors),
  ];
}

/** The object of `--json`. */
export function statusJson(status: NetworkStatus): object {
  return { ...status, hosts: status.hosts.map(hostJson), links: status.links.map(linkJson) };
}

function serviceLines({ services, routers }: NetworkStatus, colors: Colors): readonly string[] {
  const { ca, enrollment, policy, audit } = services;
  const line = <T>(name: string, answer: Answer<T>, facts: (value: T) => string): string => {
    if (answer.ok) return `  ${colors.green("up")}    ${name.padEnd(10)}  ${facts(answer)}`;
    return `  ${colors.red("down")}  ${name.padEnd(10)}  ${printable(answer.error.message)}`;
  };
  return [
    line(
      "ca",
      ca,
      ({ issued, intermediateNotAfterUnixMs }) =>
        `${formatCount(issued, "certificate")} issued, its own until ${day(intermediateNotAfterUnixMs)}`,
    ),
    line("enrollment", enrollment, ({ tokens, unused }) => `${formatCount(tokens, "token")}, ${unused} unused`),
    line("policy", policy, ({ version, services: names, workloads }) =>
      version === 0
        ? "none in force: nobody may reach anything"
        : `version ${version}: ${formatCount(names, "service")}, ${formatCount(workloads, "workload")}`,
    ),
    ...routers.map((router) =>
      line<GetStatusResponse>(`router ${router.name}`, router, (value) => routerFacts(value, routers)),
    ),
    line("audit", audit, ({ events, blocks, pending, quarantined, engineVersion }) => {
      const waiting = pending > 0 ? `, ${pending} on their way` : "";
      const trouble = quarantined > 0 ? `, ${colors.red(`${quarantined} quarantined`)}` : "";
      return `${formatCount(events, "event")} in ${formatCount(blocks, "signed block")}${waiting}${trouble}; ClickHouse ${engineVersion}`;
    }),
  ];
}

function routerFacts(value: GetStatusResponse, routers: readonly RouterAnswer[]): string {
  const state = stateWords(value);
  if (state !== "up") return printable(state);
  const bus = value.busConnected ? "" : "; bus away";
  const newest = Math.max(...routers.map((router) => (router.ok ? router.headSequence : 0)));
  const behind = newest - value.headSequence;
  const lag = behind > 0 ? `; policy ${formatCount(behind, "head")} behind` : "";
  return `${formatBytes(value.bytesForwarded)} forwarded; policy confirmed ${formatAge(value.headAgeMs)} ago, deny-list version ${value.denyListVersion}${lag}${bus}`;
}

function dataPlaneLines(
  { routers, hosts, tunnels, circuits, links }: NetworkStatus,
  colors: Colors,
  now: number,
): readonly string[] {
  if (!routers.some(({ ok }) => ok)) return [];
  const since = (unixMs: number): string => formatAge(now - unixMs);
  return [
    ...section(
      "Hosts",
      ["SERVICE", "HOSTED BY", "STATE", "SEEN UP", "ROUTER", "FOR"],
      hosts.map((host) => [
        printable(host.service),
        nameOf(host.spiffeId),
        stateOf(host),
        seenUp(host, now),
        host.router,
        since(host.sinceUnixMs),
      ]),
      colors,
    ),
    ...section(
      "Tunnels",
      ["WORKLOAD", "STREAMS", "KEY EXCHANGE", "ROUTER", "FOR"],
      tunnels.map((tunnel) => [
        nameOf(tunnel.spiffeId),
        String(tunnel.streams),
        printable(tunnel.tlsGroup),
        tunnel.router,
        since(tunnel.sinceUnixMs),
      ]),
      colors,
    ),
    ...section(
      "Circuits",
      ["SERVICE", "DIALER", "HOST", "BYTES", "ROUTER", "FOR"],
      circuits.map((circuit) => [
        printable(circuit.service),
        nameOf(circuit.dialerId),
        nameOf(circuit.hostId),
        formatBytes(circuit.bytesFromDialer + circuit.bytesFromHost),
        circuit.router,
        since(circuit.sinceUnixMs),
      ]),
      colors,
    ),
    ...(links.length === 0
      ? []
      : section(
          "Links",
          ["FROM", "TO", "STATE", "ROUND TRIP", "FOR"],
          links.map((link) => [
            link.router,
            nameOf(link.routerId),
            linkStateWord(link.state) + (link.lastFailure === "" ? "" : `: ${printable(link.lastFailure)}`),
            link.roundTripMs === undefined ? "-" : formatMs(link.roundTripMs),
            since(link.sinceUnixMs),
          ]),
          colors,
        )),
  ];
}

function section(
  title: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  { bold, dim }: Colors,
): readonly string[] {
  if (rows.length === 0) return [`${bold(title)} ${dim("none")}`, ""];
  const [head = "", ...lines] = renderTable([heads, ...rows]);
  return [`${bold(title)} ${rows.length}`, `  ${dim(head)}`, ...lines.map((line) => `  ${line}`), ""];
}

/** What is post-quantum, by which witness, and what is not. */
function cryptographyLines({ routers }: NetworkStatus, { bold, dim }: Colors): readonly string[] {
  const answering = routers.filter((router) => router.ok);
  if (answering.length === 0) return [];
  const tunnels = new Map<string, number>();
  for (const { tlsGroups } of answering)
    for (const [group, seen] of Object.entries(tlsGroups)) tunnels.set(group, (tunnels.get(group) ?? 0) + seen);
  const groups = [...tunnels].map(([group, seen]) => `${printable(group)} (${seen} so far)`);
  const busGroups = [...new Set(answering.map(({ busTlsGroup }) => printable(busTlsGroup)))];
  const isHybridOnly = busGroups.every(isHybrid);
  const bus = busGroups.map((group) => (group === "" ? "unknown group" : group)).join(", ");
  return [
    bold("Cryptography"),
    `  tunnels   TLS 1.3, ${groups.length === 0 ? "X25519MLKEM768" : groups.join(", ")}; ${dim("hybrid post-quantum, nothing else is offered")}`,
    `  circuits  TLS 1.3 end to end, X25519MLKEM768; ${dim("the router sees ciphertext")}`,
    `  bus       TLS, ${bus}; ${dim(isHybridOnly ? "hybrid post-quantum" : busException)}`,
  ];
}

const busException = "not post-quantum: nats-server 2.9.10 knows no hybrid group; it listens on loopback only";

function isHybrid(group: string): boolean {
  return group.includes("MLKEM");
}

function day(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 10);
}
