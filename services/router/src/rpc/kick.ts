import type { KickRequest, KickResponse } from "@sallyport/proto/router";
import { peerOf, RpcError, RpcStatus, type UnaryHandler } from "@sallyport/service";
import type { Kick } from "../domain/circuit.ts";
import type { RouterTunnel } from "../domain/router-tunnel.ts";
import type { Switchboard } from "../domain/switchboard.ts";
import { invalid, reasonOf } from "./request-check.ts";
import { workloadSubject } from "./workload-subject.ts";

type Board = Pick<Switchboard, "tunnels" | "circuits">;

export function kick(board: Board): UnaryHandler<KickRequest, KickResponse> {
  return async ({ target, reason }, call) => {
    const order = { askedBy: peerOf(call).identity.id.uri, reason: reasonOf(reason) };
    if (target === undefined || target.value === "")
      throw invalid("TARGET_INVALID", "target", "Nothing is named.", "Name a tunnel, a circuit or a workload.");
    const before = board.circuits.size;
    const tunnels = end(board, target, order);
    return { tunnels, circuits: before - board.circuits.size };
  };
}

/** How many tunnels were ended. */
function end({ tunnels, circuits }: Board, target: NonNullable<KickRequest["target"]>, order: Kick): number {
  switch (target.$case) {
    case "tunnelId":
      return endAll([found(tunnels.get(target.value), "tunnel", target.value)], order);
    case "workload":
      return endAll(tunnels.of(workloadSubject(target.value)), order, target.value);
    case "circuitId":
      found(circuits.get(target.value), "circuit", target.value).end({ kind: "kicked", kick: order });
      return 0;
  }
}

function endAll(tunnels: readonly RouterTunnel[], order: Kick, workload = ""): number {
  if (tunnels.length === 0) throw notFound("tunnel of the workload", workload);
  for (const tunnel of tunnels) tunnel.kick(order);
  return tunnels.length;
}

function found<T>(item: T | undefined, what: string, id: string): T {
  if (item === undefined) throw notFound(what, id);
  return item;
}

function notFound(what: string, id: string): RpcError {
  return new RpcError({
    code: "TARGET_NOT_FOUND",
    status: RpcStatus.NOT_FOUND,
    field: "target",
    message: `This router has no ${what} ${id.slice(0, 256)}.`,
    remedy: "It may be on another router, or gone already: list what there is.",
  });
}
