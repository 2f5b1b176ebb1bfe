import type { ListCircuitsRequest, ListCircuitsResponse } from "@sallyport/proto/router";
import type { UnaryHandler } from "@sallyport/service";
import type { Switchboard } from "../domain/switchboard.ts";
import { circuitMessage } from "./circuit-message.ts";
import { listLimit } from "./request-check.ts";
import { workloadSubject } from "./workload-subject.ts";

export function listCircuits({
  circuits,
}: Pick<Switchboard, "circuits">): UnaryHandler<ListCircuitsRequest, ListCircuitsResponse> {
  return async ({ service, workload, limit }) => {
    const most = listLimit(limit);
    const ofWorkload = workload === "" ? [...circuits.values()] : circuits.of(workloadSubject(workload));
    const found = ofWorkload.filter((circuit) => service === "" || circuit.service === service);
    return { circuits: found.slice(0, most).map(circuitMessage), total: found.length };
  };
}
