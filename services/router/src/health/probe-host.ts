import { WireCode } from "@sallyport/frame";
import { ProbeResult, StreamOpen, type Refusal } from "@sallyport/proto/tunnel";
import { readMessage, type TunnelStream } from "@sallyport/tunnel";
import { localStream } from "../built-in/local-stream.ts";
import type { RouterTunnel } from "../domain/router-tunnel.ts";

export type ProbeOutcome =
  | { readonly kind: "up" }
  | { readonly kind: "down"; readonly reason: string }
  /** The workload takes no probe, now or at all: nothing is learned. */
  | { readonly kind: "declined" }
  /** No answer in time. */
  | { readonly kind: "silent" };

const probeService = "sallyport.probe";

const maxResultBytes = 1_024;
const maxReasonLength = 256;

/** Asks the workload at the other end of `tunnel` whether it would serve a circuit to `service` now. Never rejects. */
export function probeHost(tunnel: RouterTunnel, service: string, timeoutMs: number): Promise<ProbeOutcome> {
  const { promise, resolve } = Promise.withResolvers<ProbeOutcome>();
  let stream: TunnelStream | null = null;
  const settle = (outcome: ProbeOutcome): void => {
    timer.cancel();
    resolve(outcome);
  };
  const streamId = tunnel.offer(StreamOpen.create({ service: probeService, probeService: service }), {
    kind: "offered",
    accepted: () => {
      if (streamId === null) return;
      stream = localStream(tunnel, streamId);
      void answerOn(stream, service).then(settle);
    },
    refused: (refusal) => settle(refusedOutcome(refusal)),
    gone: () => settle(down("it reset the probe")),
  });
  const timer = patientTimer(timeoutMs, () => {
    resolve({ kind: "silent" });
    if (stream !== null) stream.reset(WireCode.unresponsive);
    else if (streamId !== null) {
      tunnel.release(streamId);
      tunnel.reset(streamId, WireCode.unresponsive);
    }
  });
  if (streamId === null) settle({ kind: "declined" });
  return promise;
}

async function answerOn(stream: TunnelStream, service: string): Promise<ProbeOutcome> {
  try {
    const result = await readMessage(stream, ProbeResult, { maxBytes: maxResultBytes });
    if (result?.service !== service) return down("it answered the probe with something else");
    return result.up ? { kind: "up" } : down(result.reason.slice(0, maxReasonLength));
  } catch {
    return down("it broke off its answer to the probe");
  } finally {
    stream.resume().end(() => stream.destroy());
  }
}

/** A workload of an older version hosts no such service; one with too much to do has other answers to give first. */
function refusedOutcome({ code, message }: Refusal): ProbeOutcome {
  const declines = code === "NO_HOST" || code === "SERVICE_UNKNOWN" || code === "OVERLOADED" || code === "DRAINING";
  return declines ? { kind: "declined" } : down(message.slice(0, maxReasonLength));
}

function down(reason: string): ProbeOutcome {
  return { kind: "down", reason };
}

/** When it comes late this process slept, not the host, and an answer may lie unread: the host gets its time anew. */
function patientTimer(timeoutMs: number, onTimeout: () => void): { cancel(): void } {
  const arm = (): NodeJS.Timeout => {
    const dueAt = performance.now() + timeoutMs;
    return setTimeout(() => {
      if (performance.now() - dueAt > timeoutMs / 4) timer = arm();
      else onTimeout();
    }, timeoutMs).unref();
  };
  let timer = arm();
  return { cancel: () => clearTimeout(timer) };
}
