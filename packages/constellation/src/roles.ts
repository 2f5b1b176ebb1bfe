import { adminId, routerId, serviceId, type SpiffeId } from "@sallyport/identity";

/** Our own processes that one network starts. */
export type ServiceName = "ca" | "enrollment" | "policy" | "router" | "audit";
export const serviceNames: readonly ServiceName[] = ["ca", "enrollment", "policy", "router", "audit"];

/** Everyone who holds a bootstrap credential: the services, the bus, and the administrator of this machine. */
export type HolderName = ServiceName | "nats" | "admin";
export const holderNames: readonly HolderName[] = [...serviceNames, "nats", "admin"];

/** The one instance of each service in a network on one machine, and its router's name. */
export const instanceName = "1";

export function holderId(holder: HolderName, trustDomain: string): SpiffeId {
  switch (holder) {
    case "router":
      return routerId(trustDomain, instanceName);
    case "admin":
      return adminId(trustDomain, "local");
    case "ca":
    case "enrollment":
    case "policy":
    case "audit":
    case "nats":
      return serviceId(trustDomain, holder, instanceName);
  }
}
