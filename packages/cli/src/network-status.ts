import type { AdminClients } from "@sallyport/constellation";
import type { GetStatusResponse as AuditStatus } from "@sallyport/proto/audit";
import type { GetStatusResponse as CaStatus } from "@sallyport/proto/ca";
import type { Circuit, GetStatusResponse as RouterStatus, Host, Tunnel } from "@sallyport/proto/router";
import { failureOf, type Failure } from "./failure.ts";

/** What one service answers, or why it does not. */
export type Answer<T> =
  | { readonly kind: "up"; readonly value: T }
  | { readonly kind: "down"; readonly failure: Failure };

export interface NetworkStatus {
  readonly trustDomain: string;
  readonly routerAddress: string;
  readonly ca: Answer<CaStatus>;
  readonly policy: Answer<{ readonly version: number; readonly services: number; readonly workloads: number }>;
  readonly router: Answer<
    RouterStatus & {
      readonly tunnelList: readonly Tunnel[];
      readonly hostList: readonly Host[];
      readonly circuitList: readonly Circuit[];
    }
  >;
  readonly enrollment: Answer<{ readonly tokens: number; readonly unused: number }>;
  readonly audit: Answer<AuditStatus>;
}

/** Asks every service at once; one that is away does not hide the others. */
export async function readStatus(
  { network, ca, policy, router, enrollment, audit }: AdminClients,
  signal: AbortSignal,
): Promise<NetworkStatus> {
  const options = { signal, timeoutMs: 3_000 };
  const [caAnswer, policyAnswer, routerAnswer, enrollmentAnswer, auditAnswer] = await Promise.all([
    answer(ca.getStatus({}, options)),
    answer(
      policy.getPolicy({}, options).then(({ version, document }) => ({
        version,
        services: document?.services.length ?? 0,
        workloads: document?.workloads.length ?? 0,
      })),
    ),
    answer(
      Promise.all([
        router.getStatus({}, options),
        router.listTunnels({}, options),
        router.listHosts({}, options),
        router.listCircuits({}, options),
      ]).then(([status, { tunnels }, { hosts }, { circuits }]) => ({
        ...status,
        tunnelList: tunnels,
        hostList: hosts,
        circuitList: circuits,
      })),
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
  return {
    trustDomain: network.trustDomain,
    routerAddress: network.publicAddress,
    ca: caAnswer,
    policy: policyAnswer,
    router: routerAnswer,
    enrollment: enrollmentAnswer,
    audit: auditAnswer,
  };
}

async function answer<T>(work: Promise<T>): Promise<Answer<T>> {
  try {
    return { kind: "up", value: await work };
  } catch (error) {
    return { kind: "down", failure: failureOf(error) };
  }
}
