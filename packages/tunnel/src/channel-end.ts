import { type FrameError, WireCode, wireCodeName } from "@sallyport/frame";

/** How a channel ended. Every channel ends once, with one of these. */
export type ChannelEnd =
  /** This side closed it, after everything queued was handed over. */
  | { readonly kind: "closed" }
  /** The peer ended the carrier between two frames. */
  | { readonly kind: "ended" }
  /** The peer ended the tunnel by GOAWAY with a wire code other than 0. */
  | { readonly kind: "goaway"; readonly code: number }
  /** This side aborted it with that wire code. */
  | { readonly kind: "aborted"; readonly code: number }
  /** The peer broke the protocol; it was told `error.wireCode`. */
  | { readonly kind: "violated"; readonly error: FrameError }
  /** Nothing was heard from the peer for so long. */
  | { readonly kind: "silent"; readonly silentMs: number }
  /** The carrier took no byte for so long, while some were waiting. */
  | { readonly kind: "stalled"; readonly stalledMs: number }
  /** More was queued for the peer than `maxQueuedBytes`. */
  | { readonly kind: "overflowed"; readonly queuedBytes: number }
  /** The carrier failed, or whoever handles the frames threw. */
  | { readonly kind: "failed"; readonly cause: unknown };

/** What GOAWAY tells the peer about an end that this side decided; null where there is no one to tell. */
export function goawayCodeOf(end: ChannelEnd): number | null {
  switch (end.kind) {
    case "aborted":
      return end.code;
    case "violated":
      return end.error.wireCode;
    case "silent":
    case "stalled":
      return WireCode.unresponsive;
    case "overflowed":
      return WireCode.limit;
    case "failed":
      return WireCode.internal;
    case "closed":
    case "ended":
    case "goaway":
      return null;
  }
}

/** One clause for a log or an error: `the peer was silent for 4012 ms`. */
export function describeChannelEnd(end: ChannelEnd): string {
  switch (end.kind) {
    case "closed":
      return "this side closed the tunnel";
    case "ended":
      return "the peer closed the tunnel";
    case "goaway":
      return `the peer ended the tunnel: ${wireCodeName(end.code)}`;
    case "aborted":
      return `this side aborted the tunnel: ${wireCodeName(end.code)}`;
    case "violated":
      return `the peer broke the protocol: ${end.error.message}`;
    case "silent":
      return `the peer was silent for ${Math.round(end.silentMs)} ms`;
    case "stalled":
      return `the peer took nothing for ${Math.round(end.stalledMs)} ms`;
    case "overflowed":
      return `${end.queuedBytes} bytes were waiting for a peer that reads too slowly`;
    case "failed":
      return `the connection failed: ${end.cause instanceof Error ? end.cause.message : String(end.cause)}`;
  }
}
