import { Precedence } from "@sallyport/proto/tunnel";
import { ConnectorError } from "../errors.ts";

/** Which hosts of a service are chosen first (`Precedence` of tunnel.proto). */
export type HostPrecedence = "required" | "default" | "failed";

export const precedences: Readonly<Record<HostPrecedence, Precedence>> = {
  required: Precedence.PRECEDENCE_REQUIRED,
  default: Precedence.PRECEDENCE_DEFAULT,
  failed: Precedence.PRECEDENCE_FAILED,
};

const maxCost = 65_535;

/** Throws COST_INVALID. */
export function checkedCost(cost: number): number {
  if (Number.isInteger(cost) && cost >= 0 && cost <= maxCost) return cost;
  throw new ConnectorError({
    code: "COST_INVALID",
    message: `${cost} is no cost of a host.`,
    remedy: `Give a whole number from 0 to ${maxCost}; the lower one is chosen.`,
  });
}
