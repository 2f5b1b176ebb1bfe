import { adminId, routerId, serviceId, type SpiffeId } from "@sallyport/identity";

/** The kinds of our own services. */
export type ServiceName = "ca" | "enrollment" | "policy" | "router" | "audit";
export const serviceNames: readonly ServiceName[] = ["ca", "enrollment", "policy", "router", "audit"];

/** The process of a router. Router "1" is plain `router`: a network of one router has no numbers to learn. */
export type RouterProcess = "router" | `router-${number}`;

/** Our own processes that one network starts: one of each service, and as many routers as were asked for. */
export type ProcessName = ServiceName | RouterProcess;

/** Everyone who holds a bootstrap credential: our processes, the bus, and the administrator of this machine. */
export type HolderName = ProcessName | "nats" | "admin";

/** The one instance of each service in a network on one machine. */
const INSTANCE = "1";

/** @param routerName "1", "2", …: the name in its SPIFFE ID. */
export function routerProcess(routerName: string): RouterProcess {
  return routerName === INSTANCE ? "router" : `router-${Number(routerName)}`;
}

function isRouterProcess(process: HolderName): process is RouterProcess {
  return process === "router" || process.startsWith("router-");
}

export function serviceOf(process: ProcessName): ServiceName {
  return isRouterProcess(process) ? "router" : process;
}

/** Its `SALLYPORT_INSTANCE`; a router's name. */
export function instanceOf(process: HolderName): string {
  return process.startsWith("router-") ? process.slice("router-".length) : INSTANCE;
}

export function holderId(holder: HolderName, trustDomain: string): SpiffeId {
  if (isRouterProcess(holder)) return routerId(trustDomain, instanceOf(holder));
  return holder === "admin" ? adminId(trustDomain, "local") : serviceId(trustDomain, holder, INSTANCE);
}
