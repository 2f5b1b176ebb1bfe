import type { AdminClients } from "@sallyport/constellation";
import type { GetStatusResponse as AuditStatus } from "@sallyport/proto/audit";
import type { GetStatusResponse as CaStatus } from "@sallyport/proto/ca";
import {
  ListCircuitsRequest,
  ListHostsRequest,
  ListTunnelsRequest,
  type Circuit,
  type GetStatusResponse as RouterStatus,
  type Host,
  type Tunnel,
} from "@sallyport/proto/router";
import { failureOf, type Failure } from "./failure.ts";

/** What one service answers, or why it does not. */
export type Answer<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly error: Failure };

/** The object of `status --json`. */
export interface NetworkStatus {
  /** Whether every service answers. */
  readonly ok: boolean;
  readonly trustDomain: string;
  readonly routerAddress: string;
  readonly services: {
    readonly ca: Answer<CaStatus>;
    readonly enrollment: Answer<{ readonly tokens: number; readonly unused: number }>;
    readonly policy: Answer<{ readonly version: number; readonly services: number; readonly workloads: number }>;
    readonly router: Answer<RouterStatus>;
    readonly audit: Answer<AuditStatus>;
  };
  /** What the router holds; empty while it does not answer. */
  readonly hosts: readonly Host[];
  readonly tunnels: readonly Tunnel[];
  readonly circuits: readonly Circuit[];
}

/** Asks every service at once; one that is away does not hide the others. */
export async function readStatus(
  { network, ca, policy, router, enrollment, audit }: AdminClients,
  signal: AbortSignal,
): Promise<NetworkStatus> {
  const options = { signal, timeoutMs: 3_000 };
  const [caAnswer, policyAnswer, routerAnswer, listAnswer, enrollmentAnswer, auditAnswer] = await Promise.all([
    answer(ca.getStatus({}, options)),
    answer(
      policy.getPolicy({}, options).then(({ version, document }) => ({
        version,
        services: document?.services.length ?? 0,
        workloads: document?.workloads.length ?? 0,
      })),
    ),
    answer(router.getStatus({}, options)),
    answer(
      Promise.all([
        router.listHosts(ListHostsRequest.create(), options),
        router.listTunnels(ListTunnelsRequest.create(), options),
        router.listCircuits(ListCircuitsRequest.create(), options),
      ]).then(([{ hosts }, { tunnels }, { circuits }]) => ({ hosts, tunnels, circuits })),
    ),
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
  const services = {
    ca: caAnswer,
    enrollment: enrollmentAnswer,
    policy: policyAnswer,
    router: routerAnswer,
    audit: auditAnswer,
  };
  const { hosts, tunnels, circuits } = listAnswer.ok ? listAnswer : { hosts: [], tunnels: [], circuits: [] };
  return {
    ok: Object.values(services).every(({ ok }) => ok),
    trustDomain: network.trustDomain,
    routerAddress: network.routers[0].publicAddress,
    services,
    hosts,
    tunnels,
    circuits,
  };
}

async function answer<T>(work: Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, ...(await work) };
  } catch (error) {
    return { ok: false, error: failureOf(error) };
  }
}
