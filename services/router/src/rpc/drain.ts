import type { DrainRequest, DrainResponse } from "@sallyport/proto/router";
import { peerOf, type UnaryHandler } from "@sallyport/service";
import type { Router } from "../router.ts";
import { invalid, reasonOf } from "./request-check.ts";

const defaultDeadlineMs = 60_000;
const maxDeadlineMs = 3_600_000;

/** Answers once every tunnel and link has been told; the drain itself takes up to its deadline. */
export function drain({
  drain: leaving,
  switchboard,
}: Pick<Router, "drain" | "switchboard">): UnaryHandler<DrainRequest, DrainResponse> {
  return async ({ deadlineMs = defaultDeadlineMs, reason }, call) => {
    if (deadlineMs > maxDeadlineMs) {
      const message = `A drain takes at most ${maxDeadlineMs} ms.`;
      throw invalid(
        "DEADLINE_INVALID",
        "deadline_ms",
        message,
        "Give an earlier deadline; a further drain can move it.",
      );
    }
    const running = { ...switchboard.running };
    const { deadlineUnixMs } = leaving.order({ deadlineMs, askedBy: peerOf(call), reason: reasonOf(reason) });
    return { deadlineUnixMs, ...running };
  };
}
