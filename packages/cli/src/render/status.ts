import type { Answer, NetworkStatus } from "../network-status.ts";
import type { Colors } from "../terminal.ts";
import { renderTable } from "./table.ts";

/** The whole status as lines. */
export function renderStatus(status: NetworkStatus, colors: Colors, now: number): readonly string[] {
  const { bold, dim } = colors;
  return [
    `${bold("Network")} ${status.trustDomain} ${dim(`router ${status.routerAddress}`)}`,
    "",
    ...serviceLines(status, colors, now),
    "",
    ...dataPlaneLines(status, colors, now),
    ...cryptographyLines(status, colors),
  ];
}

function serviceLines(
  { ca, enrollment, policy, router, audit }: NetworkStatus,
  colors: Colors,
  now: number,
): readonly string[] {
  const line = <T>(name: string, answer: Answer<T>, facts: (value: T) => string): string => {
    if (answer.kind === "up") return `  ${colors.green("up")}    ${name.padEnd(11)} ${facts(answer.value)}`;
    return `  ${colors.red("down")}  ${name.padEnd(11)} ${answer.failure.message}`;
  };
  return [
    line(
      "ca",
      ca,
      ({ issued, intermediateNotAfterUnixMs }) =>
        `${issued} certificates issued; intermediate until ${day(intermediateNotAfterUnixMs)}`,
    ),
    line("enrollment", enrollment, ({ tokens, unused }) => `${tokens} tokens, ${unused} unused`),
    line(
      "policy",
      policy,
      ({ version, services, workloads }) => `version ${version}: ${services} services, ${workloads} workloads`,
    ),
    line("router", router, (value) => routerFacts(value, now)),
    line("audit", audit, ({ events, blocks, pending, quarantined, engineVersion }) => {
      const trouble = quarantined > 0 ? `, ${colors.red(`${quarantined} quarantined`)}` : "";
      return `${events} events in ${blocks} blocks, ${pending} pending${trouble}; ClickHouse ${engineVersion}`;
    }),
  ];
}

function routerFacts(
  value: {
    readonly notAdmittingBecause: string;
    readonly headSequence: number;
    readonly headAgeMs: number;
    readonly denyListVersion: number;
    readonly busConnected: boolean;
  },
  _now: number,
): string {
  if (value.notAdmittingBecause !== "") return `admits nobody: ${value.notAdmittingBecause}`;
  const bus = value.busConnected ? "" : "; bus away";
  return `head ${value.headSequence}, ${(value.headAgeMs / 1_000).toFixed(1)} s old; deny-list ${value.denyListVersion}${bus}`;
}

function dataPlaneLines({ router }: NetworkStatus, { bold, dim }: Colors, now: number): readonly string[] {
  if (router.kind === "down") return [];
  const { tunnelList, hostList, circuitList, bytesForwarded } = router.value;
  return [
    ...section(
      bold("Tunnels"),
      tunnelList.map((tunnel) => [
        tunnel.spiffeId,
        `${tunnel.streams} streams`,
        tunnel.tlsGroup,
        `for ${age(now - tunnel.sinceUnixMs)}`,
      ]),
      dim,
    ),
    ...section(
      bold("Hosts"),
      hostList.map((host) => [host.service, host.spiffeId, `for ${age(now - host.sinceUnixMs)}`]),
      dim,
    ),
    ...section(
      bold("Circuits"),
      circuitList.map((circuit) => [
        circuit.service,
        circuit.dialerId,
        `→ ${circuit.hostId}`,
        `${circuit.bytesFromDialer + circuit.bytesFromHost} bytes`,
        `for ${age(now - circuit.sinceUnixMs)}`,
      ]),
      dim,
    ),
    `${bold("Forwarded")} ${bytesForwarded} bytes since the router's start`,
    "",
  ];
}

function section(
  title: string,
  rows: readonly (readonly string[])[],
  dim: (text: string) => string,
): readonly string[] {
  if (rows.length === 0) return [`${title} ${dim("none")}`];
  return [`${title} ${rows.length}`, ...renderTable(rows).map((line) => `  ${line}`)];
}

/** What is post-quantum, by which witness, and what is not. */
function cryptographyLines({ router }: NetworkStatus, { bold, dim }: Colors): readonly string[] {
  if (router.kind === "down") return [];
  const groups = Object.entries(router.value.tlsGroups).map(([group, count]) => `${group} (${count})`);
  const { busTlsGroup } = router.value;
  return [
    bold("Cryptography"),
    `  tunnels   TLS 1.3, ${groups.length === 0 ? "X25519MLKEM768 only" : groups.join(", ")} ${dim("hybrid post-quantum, nothing else is offered")}`,
    `  circuits  TLS 1.3 end to end, X25519MLKEM768 ${dim("the router sees ciphertext")}`,
    `  bus       TLS, ${busTlsGroup === "" ? "unknown group" : busTlsGroup} ${dim(isHybrid(busTlsGroup) ? "hybrid post-quantum" : busException)}`,
  ];
}

const busException =
  "excepted from the post-quantum promise: nats-server 2.9.10 knows no hybrid group; it listens on loopback only";

function isHybrid(group: string): boolean {
  return group.includes("MLKEM");
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}

function day(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 10);
}
