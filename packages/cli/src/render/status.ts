import type { Answer, NetworkStatus } from "../network-status.ts";
import type { Colors } from "../terminal.ts";
import { formatAge, formatBytes } from "./quantity.ts";
import { renderTable } from "./table.ts";

/** The whole status as lines. */
export function renderStatus(status: NetworkStatus, colors: Colors, now: number): readonly string[] {
  const { bold, dim } = colors;
  return [
    `${bold(status.trustDomain)}  ${dim("router")} ${status.routerAddress}`,
    "",
    ...serviceLines(status, colors),
    "",
    ...dataPlaneLines(status, colors, now),
    ...cryptographyLines(status, colors),
  ];
}

function serviceLines({ services }: NetworkStatus, colors: Colors): readonly string[] {
  const { ca, enrollment, policy, router, audit } = services;
  const line = <T>(name: string, answer: Answer<T>, facts: (value: T) => string): string => {
    if (answer.ok) return `  ${colors.green("up")}    ${name.padEnd(10)}  ${facts(answer)}`;
    return `  ${colors.red("down")}  ${name.padEnd(10)}  ${answer.error.message}`;
  };
  return [
    line(
      "ca",
      ca,
      ({ issued, intermediateNotAfterUnixMs }) =>
        `${count(issued, "certificate")} issued, its own until ${day(intermediateNotAfterUnixMs)}`,
    ),
    line("enrollment", enrollment, ({ tokens, unused }) => `${count(tokens, "token")}, ${unused} unused`),
    line("policy", policy, ({ version, services: names, workloads }) =>
      version === 0
        ? "none in force: nobody may reach anything"
        : `version ${version}: ${count(names, "service")}, ${count(workloads, "workload")}`,
    ),
    line("router", router, routerFacts),
    line("audit", audit, ({ events, blocks, pending, quarantined, engineVersion }) => {
      const waiting = pending > 0 ? `, ${pending} on their way` : "";
      const trouble = quarantined > 0 ? `, ${colors.red(`${quarantined} quarantined`)}` : "";
      return `${count(events, "event")} in ${count(blocks, "signed block")}${waiting}${trouble}; ClickHouse ${engineVersion}`;
    }),
  ];
}

function routerFacts(value: {
  readonly notAdmittingBecause: string;
  readonly headAgeMs: number;
  readonly denyListVersion: number;
  readonly busConnected: boolean;
  readonly bytesForwarded: number;
}): string {
  if (value.notAdmittingBecause !== "") return `admits nobody: ${value.notAdmittingBecause}`;
  const bus = value.busConnected ? "" : "; bus away";
  return `${formatBytes(value.bytesForwarded)} forwarded; policy confirmed ${formatAge(value.headAgeMs)} ago, deny-list version ${value.denyListVersion}${bus}`;
}

function dataPlaneLines({ services, ...lists }: NetworkStatus, colors: Colors, now: number): readonly string[] {
  if (!services.router.ok) return [];
  const since = (unixMs: number): string => formatAge(now - unixMs);
  return [
    ...section(
      "Hosts",
      ["SERVICE", "HOSTED BY", "FOR"],
      lists.hosts.map((host) => [host.service, nameOf(host.spiffeId), since(host.sinceUnixMs)]),
      colors,
    ),
    ...section(
      "Tunnels",
      ["WORKLOAD", "STREAMS", "KEY EXCHANGE", "FOR"],
      lists.tunnels.map((tunnel) => [
        nameOf(tunnel.spiffeId),
        String(tunnel.streams),
        tunnel.tlsGroup,
        since(tunnel.sinceUnixMs),
      ]),
      colors,
    ),
    ...section(
      "Circuits",
      ["SERVICE", "DIALER", "HOST", "BYTES", "FOR"],
      lists.circuits.map((circuit) => [
        circuit.service,
        nameOf(circuit.dialerId),
        nameOf(circuit.hostId),
        formatBytes(circuit.bytesFromDialer + circuit.bytesFromHost),
        since(circuit.sinceUnixMs),
      ]),
      colors,
    ),
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
function cryptographyLines({ services: { router } }: NetworkStatus, { bold, dim }: Colors): readonly string[] {
  if (!router.ok) return [];
  const groups = Object.entries(router.tlsGroups).map(([group, tunnels]) => `${group} (${tunnels} so far)`);
  const { busTlsGroup } = router;
  return [
    bold("Cryptography"),
    `  tunnels   TLS 1.3, ${groups.length === 0 ? "X25519MLKEM768" : groups.join(", ")}; ${dim("hybrid post-quantum, nothing else is offered")}`,
    `  circuits  TLS 1.3 end to end, X25519MLKEM768; ${dim("the router sees ciphertext")}`,
    `  bus       TLS, ${busTlsGroup === "" ? "unknown group" : busTlsGroup}; ${dim(isHybrid(busTlsGroup) ? "hybrid post-quantum" : busException)}`,
  ];
}

const busException = "not post-quantum: nats-server 2.9.10 knows no hybrid group; it listens on loopback only";

function isHybrid(group: string): boolean {
  return group.includes("MLKEM");
}

/** `agent/3f2a91c0` of `spiffe://<trust domain>/workload/agent/3f2a91c0`. */
function nameOf(spiffeId: string): string {
  return spiffeId.replace(/^spiffe:\/\/[^/]+\/workload\//, "");
}

function count(amount: number, what: string): string {
  return `${amount} ${what}${amount === 1 ? "" : "s"}`;
}

function day(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 10);
}
