import type { AdminClients } from "@sallyport/constellation";
import type { GetStatusResponse as AuditStatus } from "@sallyport/proto/audit";
import type { GetStatusResponse as CaStatus } from "@sallyport/proto/ca";
import {
  ListCircuitsRequest,
  ListHostsRequest,
  ListTunnelsRequest,
  type Circuit,
  type Host,
  type Link,
  type Tunnel,
} from "@sallyport/proto/router";
import { failureOf, type Failure } from "./failure.ts";
import type { On } from "./render/data-plane.ts";
import { askRouters, type RouterAnswer } from "./router-status.ts";
import type { NamedRouter } from "./routers.ts";

/** What one service answers, or why it does not. */
export type Answer<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly error: Failure };

/** What routers hold, each thing once: where the host's or the dialer's tunnel is. */
export interface DataPlane {
  readonly hosts: readonly On<Host>[];
  readonly tunnels: readonly On<Tunnel>[];
  readonly circuits: readonly On<Circuit>[];
  readonly links: readonly On<Link>[];
}

/** The object of `status --json`. Of a router that does not answer nothing is known: it holds nothing here. */
export interface NetworkStatus extends DataPlane {
  /** Whether every service and every router answers. */
  readonly ok: boolean;
  readonly trustDomain: string;
  readonly routers: readonly RouterAnswer[];
  readonly services: {
    readonly ca: Answer<CaStatus>;
    readonly enrollment: Answer<{ readonly tokens: number; readonly unused: number }>;
    readonly policy: Answer<{ readonly version: number; readonly services: number; readonly workloads: number }>;
    readonly audit: Answer<AuditStatus>;
  };
}

interface AskOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Asks every service at once; one that is away does not hide the others. */
export async function readStatus(
  { network, ca, policy, routers, enrollment, audit }: AdminClients,
  signal: AbortSignal,
): Promise<NetworkStatus> {
  const options = { signal, timeoutMs: 3_000 };
  const [caAnswer, policyAnswer, routerAnswers, held, enrollmentAnswer, auditAnswer] = await Promise.all([
    answer(ca.getStatus({}, options)),
    answer(
      policy.getPolicy({}, options).then(({ version, document }) => ({
        version,
        services: document?.services.length ?? 0,
        workloads: document?.workloads.length ?? 0,
      })),
    ),
    askRouters(routers, options),
    Promise.all(routers.map((router) => answer(heldBy(router, options)))),
    answer(
      enrollment.listTokens({}, options).then(({ tokens }) => ({
        tokens: tokens.length,
        unused: tokens.filter(
          ({ redeemedByInstance, expiresAtUnixMs }) => redeemedByInstance === "" && expiresAtUnixMs > Date.now(),
        ).length,
      })),
    ),
    answer(audit.getStatus({}, options)),
  ]);
  const services = { ca: caAnswer, enrollment: enrollmentAnswer, policy: policyAnswer, audit: auditAnswer };
  return {
    ok: [...Object.values(services), ...routerAnswers].every(({ ok }) => ok),
    trustDomain: network.trustDomain,
    routers: routerAnswers,
    services,
    ...joined(held.filter((own) => own.ok)),
  };
}

async function heldBy({ name, client }: NamedRouter, options: AskOptions): Promise<DataPlane> {
  const on = <T extends object>(items: readonly T[]): readonly On<T>[] =>
    items.map((item) => ({ ...item, router: name }));
  const [{ hosts }, { tunnels }, { circuits }, { links }] = await Promise.all([
    client.listHosts(ListHostsRequest.create(), options),
    client.listTunnels(ListTunnelsRequest.create(), options),
    client.listCircuits(ListCircuitsRequest.create(), options),
    client.listLinks({}, options),
  ]);
  return { hosts: on(hosts), tunnels: on(tunnels), circuits: on(circuits), links: on(links) };
}

function joined(held: readonly DataPlane[]): DataPlane {
  return {
    hosts: held.flatMap(({ hosts }) => hosts.filter(({ viaRouterId }) => viaRouterId === "")),
    tunnels: held.flatMap(({ tunnels }) => tunnels),
    circuits: held.flatMap(({ circuits }) => circuits.filter(({ dialerRouterId }) => dialerRouterId === "")),
    links: held.flatMap(({ links }) => links),
  };
}

async function answer<T>(work: Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, ...(await work) };
  } catch (error) {
    return { ok: false, error: failureOf(error) };
  }
}
