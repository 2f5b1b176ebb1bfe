/**
 * A dial, over as many tunnels as it takes.
 *
 * 1. What a router cannot do (it drains, is overloaded, knows no host that is up, has no fresh policy) another may. What policy denies is final.
 * 2. A circuit that loses its path before both ends agreed on it is dialed again: the application has not sent a byte, so nothing can happen twice.
 * 3. Whoever lost a router a moment ago may be back before the host that lost the same one: a host that is not there is asked for again until
 *    it had time to come.
 * 4. Each attempt has a nonce of its own, so that no two can be taken for one.
 */
import { randomBytes } from "node:crypto";
import { WireCode } from "@sallyport/frame";
import { StreamOpen, type Refusal } from "@sallyport/proto/tunnel";
import { TunnelError, type OpenResult } from "@sallyport/tunnel";
import type { Circuit } from "../circuit/circuit.ts";
import { openDialerEnd } from "../circuit/open-circuit.ts";
import { refusalError } from "../errors.ts";
import { backOff } from "./back-off.ts";
import { nonceBytes } from "./incoming-circuit.ts";
import type { OpenTunnel } from "./open-tunnel.ts";
import type { Uplink } from "./uplink.ts";

type Attempt =
  | { readonly kind: "dialed"; readonly circuit: Circuit }
  /** 1. */
  | { readonly kind: "unable"; readonly refusal: Refusal }
  /** The tunnel is gone, or the path behind it. */
  | { readonly kind: "lost"; readonly what: "tunnel" | "path"; readonly cause: unknown };

const maxAttempts = 4;
/** From the loss of a router until its hosts can be expected at another. */
const hostsReturnMs = 5_000;
const maxPauseMs = 1_000;
const absentCodes: ReadonlySet<string> = new Set(["NO_HOST", "HOST_DOWN"]);
const unableCodes: ReadonlySet<string> = new Set(["DRAINING", "OVERLOADED", "NO_HOST", "HOST_DOWN", "HEAD_STALE"]);
const lostCodes: ReadonlySet<number> = new Set([
  WireCode.gone,
  WireCode.drained,
  WireCode.unavailable,
  WireCode.unresponsive,
  WireCode.internal,
]);

/** Asks a router for a host of `service` and makes the circuit to it. */
export async function dialCircuit(uplink: Uplink, service: string, signal: AbortSignal): Promise<Circuit> {
  uplink.want(service);
  const tried = new Set<OpenTunnel>();
  let told: Refusal | undefined;
  let pauses = 0;
  for (let attempts = 1; ; attempts += 1) {
    const over = await uplink.current(signal, tried);
    const attempt = await dialOver(over, uplink, service, signal);
    switch (attempt.kind) {
      case "dialed":
        return attempt.circuit;
      case "lost":
        if (attempts >= maxAttempts) throw attempt.cause;
        if (attempt.what === "tunnel") tried.add(over);
        break;
      case "unable": {
        tried.add(over);
        const { refusal } = attempt;
        const isDraining = refusal.code === "DRAINING";
        if (isDraining) uplink.retire(over);
        else told ??= refusal;
        // A router that drains has a successor soon; one that knows no host will not learn of one by being asked again.
        const isOver = attempts >= maxAttempts || (!isDraining && uplink.usable.every((one) => tried.has(one)));
        if (!isOver) break;
        if (!absentCodes.has(refusal.code) || !uplink.lostRouterWithin(hostsReturnMs))
          throw refusalError("DIAL_REFUSED", `The dial to ${service} is refused`, told ?? refusal);
        await backOff((pauses += 1), signal, { maxMs: maxPauseMs }); // 3
        tried.clear();
        told = undefined;
        attempts = 0;
        break;
      }
    }
  }
}

async function dialOver(over: OpenTunnel, uplink: Uplink, service: string, signal: AbortSignal): Promise<Attempt> {
  const nonce = randomBytes(nonceBytes); // 4
  let result: OpenResult;
  try {
    result = await over.tunnel.openStream(StreamOpen.create({ service, circuitNonce: nonce }), { signal });
  } catch (error) {
    signal.throwIfAborted();
    return lostBy(error, error);
  }
  if (result.kind === "refused") {
    const { refusal } = result;
    if (unableCodes.has(refusal.code)) return { kind: "unable", refusal };
    throw refusalError("DIAL_REFUSED", `The dial to ${service} is refused`, refusal);
  }
  const { stream: carrier, accept } = result;
  const { circuitId, sliceVersion, decisionId, hostId } = accept;
  const plan = { service, nonce, sliceVersion, circuitId, claimedPeerId: hostId, routerDecisionId: decisionId };
  try {
    const circuit = await openDialerEnd({ ...plan, carrier, policy: uplink.policy }, uplink.identity, signal);
    return { kind: "dialed", circuit };
  } catch (error) {
    signal.throwIfAborted();
    return lostBy(carrier.errored, error); // 2
  }
}

/** Throws `error` when the tunnel does not say that the path is gone. */
function lostBy(told: unknown, error: unknown): Attempt {
  if (!(told instanceof TunnelError)) throw error;
  if (told.code === "TUNNEL_ENDED" || told.code === "STREAM_IDS_EXHAUSTED")
    return { kind: "lost", what: "tunnel", cause: error };
  if (told.wireCode === null || !lostCodes.has(told.wireCode)) throw error;
  return { kind: "lost", what: "path", cause: error };
}
