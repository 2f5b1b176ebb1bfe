import { busId, type Identity, type SpiffeId } from "@sallyport/identity";
import { CaError } from "../errors.ts";

/** The roles that have an identity on the bus. */
const busRoles: ReadonlySet<string> = new Set(["ca", "enrollment", "policy", "router", "audit"]);

/**
 * The SPIFFE ID that the holder of a bootstrap credential gets: its own, or its role's on the bus.
 * @throws {CaError} BOOTSTRAP_UNKNOWN
 */
export function serviceIdentity(holder: Identity, bus: boolean): SpiffeId {
  if (!bus) return ownId(holder);
  const role = roleOf(holder);
  if (role === null || !busRoles.has(role)) throw unknown(holder, "has no identity on the bus");
  return busId(holder.id.trustDomain, role);
}

function ownId(holder: Identity): SpiffeId {
  switch (holder.kind) {
    case "service":
    case "router":
    case "admin":
      return holder.id;
    case "workload":
    case "bus":
      throw unknown(holder, "cannot be held by a bootstrap credential");
  }
}

function roleOf(holder: Identity): string | null {
  switch (holder.kind) {
    case "service":
      return holder.name;
    case "router":
      return "router";
    case "admin":
    case "workload":
    case "bus":
      return null;
  }
}

function unknown(holder: Identity, why: string): CaError {
  return new CaError("BOOTSTRAP_UNKNOWN", `${holder.id.uri} ${why}.`, {
    remedy: "Use the bootstrap credential that `init` made for this process.",
  });
}
