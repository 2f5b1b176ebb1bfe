/**
 * The streams of one tunnel, by id.
 *
 * T1. A frame for an id that was used and has no entry belongs to a stream that is over: it was under way, and is dropped.
 * T2. An entry is in one phase: opening (our OPEN), offered (the peer's OPEN), open. A frame that its phase does not expect is a violation.
 */
import {
  FrameError,
  FrameType,
  MAX_OPENING_PAYLOAD_BYTES,
  WireCode,
  encodeReset,
  encodeWindow,
  knownWireCode,
  wireCodeName,
} from "@sallyport/frame";
import { Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import { FastStreams } from "./fast-streams.ts";
import type { FrameChannel } from "./frame-channel.ts";
import { type IncomingStream, Offer, type OfferPort } from "./incoming-stream.ts";
import { Opening, localRefusal } from "./opening-stream.ts";
import { StreamIds } from "./stream-ids.ts";
import { TunnelError } from "./tunnel-error.ts";
import { type StreamPort, TunnelStream } from "./tunnel-stream.ts";

export interface StreamTableOptions {
  readonly side: "workload" | "router";
  /** Of the peer's, at once. */
  readonly maxPeerStreams: number;
  /** Null: every OPEN is refused. */
  readonly onOpen: ((incoming: IncomingStream) => void) | null;
  /** The last entry is gone. */
  readonly onEmpty: () => void;
}

type StreamEntry = Opening | Offer | TunnelStream;

export class StreamTable implements StreamPort, OfferPort {
  readonly #channel: FrameChannel;
  readonly #options: StreamTableOptions;
  readonly #ids: StreamIds;
  readonly #entries = new Map<number, StreamEntry>();
  readonly fastStreams: FastStreams = new FastStreams();
  readonly #pumpOnDrain = new Set<TunnelStream>();
  #localCount = 0;

  constructor(channel: FrameChannel, options: StreamTableOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#ids = new StreamIds(options.side);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Streams that this side opened. */
  get localCount(): number {
    return this.#localCount;
  }

  /** Sends OPEN. Throws STREAM_IDS_EXHAUSTED or PAYLOAD_TOO_LARGE. */
  open(open: StreamOpen): Opening {
    const payload = requireFits(StreamOpen.encode(open).finish());
    const streamId = this.#ids.next();
    if (streamId === null)
      throw new TunnelError("STREAM_IDS_EXHAUSTED", "Every stream id of this tunnel is used; open a fresh tunnel.");
    const opening = new Opening(streamId);
    this.#entries.set(streamId, opening);
    this.#localCount += 1;
    this.#channel.writeFrame(FrameType.open, 0, streamId, payload);
    return opening;
  }

  /** Gives up an unanswered OPEN. */
  cancel(opening: Opening, reason: unknown): void {
    if (this.#entries.get(opening.streamId) !== opening) return;
    this.sendReset(opening.streamId, WireCode.cancelled);
    this.forget(opening.streamId);
    opening.fail(reason);
  }

  /** @param refuseAll why no stream is taken; null when streams are. */
  onOpen(streamId: number, open: StreamOpen, refuseAll: Refusal | null): void {
    this.#ids.usePeer(streamId);
    const { onOpen, maxPeerStreams } = this.#options;
    if (refuseAll !== null) {
      this.#sendRefuse(streamId, refuseAll);
    } else if (this.size - this.#localCount >= maxPeerStreams) {
      this.#sendRefuse(streamId, localRefusal("OVERLOADED", `This side takes ${maxPeerStreams} streams at once.`));
    } else if (onOpen === null) {
      this.#sendRefuse(streamId, localRefusal("SERVICE_UNKNOWN", "This side takes no streams."));
    } else {
      const offer = new Offer(streamId, open, this);
      this.#entries.set(streamId, offer);
      onOpen(offer);
    }
  }

  onAccept(streamId: number, accept: StreamAccept): void {
    const entry = this.#entry(streamId);
    if (entry === null) return;
    if (entry.kind !== "opening") throw unexpected("ACCEPT", streamId, entry);
    const stream = new TunnelStream(streamId, this);
    this.#entries.set(streamId, stream);
    entry.resolve({ kind: "accepted", stream, accept });
  }

  onRefuse(streamId: number, refusal: Refusal): void {
    const entry = this.#entry(streamId);
    if (entry === null) return;
    if (entry.kind !== "opening") throw unexpected("REFUSE", streamId, entry);
    this.forget(streamId);
    entry.resolve({ kind: "refused", refusal });
  }

  onData(streamId: number, chunk: Buffer, payloadStart: number, payloadEnd: number): void {
    this.#openEntry("DATA", streamId)?.receiveData(chunk, payloadStart, payloadEnd);
  }

  onWindow(streamId: number, creditBytes: number): void {
    this.#openEntry("WINDOW", streamId)?.receiveWindow(creditBytes);
  }

  onFin(streamId: number): void {
    this.#openEntry("FIN", streamId)?.receiveFin();
  }

  onReset(streamId: number, wireCode: number): void {
    const entry = this.#entry(streamId);
    if (entry === null) return;
    this.forget(streamId);
    const told = { wireCode: knownWireCode(wireCode) };
    entry.fail(new TunnelError("STREAM_RESET", `The peer reset the stream: ${wireCodeName(wireCode)}.`, told));
  }

  /** The channel is no longer congested: each waiting stream gets its turn, in the order in which they began to wait. */
  onDrain(): void {
    const waiting = [...this.#pumpOnDrain];
    this.#pumpOnDrain.clear();
    for (const stream of waiting) stream.pump();
  }

  /** Resets every open stream, gives up every other: by the will of this side, so that an open one ends without an error here. */
  resetAll(wireCode: number, reason: TunnelError): void {
    for (const [streamId, entry] of this.#entries) {
      if (entry.kind === "open") {
        entry.reset(wireCode);
        continue;
      }
      this.sendReset(streamId, wireCode);
      this.forget(streamId);
      entry.fail(reason);
    }
  }

  /** The channel is no more. */
  endAll(reason: TunnelError): void {
    for (const [streamId, entry] of this.#entries) {
      this.#entries.delete(streamId);
      entry.fail(reason);
    }
    this.#pumpOnDrain.clear();
  }

  get congested(): boolean {
    return this.#channel.congested;
  }

  pumpOnDrain(stream: TunnelStream): void {
    this.#pumpOnDrain.add(stream);
  }

  sendData(streamId: number, pieces: readonly Uint8Array[], offset: number, payloadBytes: number): void {
    this.#channel.writeData(streamId, pieces, offset, payloadBytes);
  }

  sendWindow(streamId: number, creditBytes: number): void {
    this.#channel.forward(encodeWindow(streamId, creditBytes));
  }

  sendFin(streamId: number): void {
    this.#channel.writeFrame(FrameType.fin, 0, streamId);
  }

  sendReset(streamId: number, wireCode: number): void {
    this.#channel.dropStream(streamId);
    this.#channel.forward(encodeReset(streamId, wireCode));
  }

  acceptOffer(streamId: number, accept: StreamAccept): TunnelStream {
    const payload = requireFits(StreamAccept.encode(accept).finish());
    const stream = new TunnelStream(streamId, this);
    this.#entries.set(streamId, stream);
    this.#channel.writeFrame(FrameType.accept, 0, streamId, payload);
    return stream;
  }

  refuseOffer(streamId: number, refusal: Refusal): void {
    this.#sendRefuse(streamId, refusal);
    this.forget(streamId);
  }

  forget(streamId: number): void {
    const entry = this.#entries.get(streamId);
    if (entry === undefined) return;
    this.#entries.delete(streamId);
    if (this.#ids.isLocal(streamId)) this.#localCount -= 1;
    if (entry.kind === "open") this.#pumpOnDrain.delete(entry);
    if (this.#entries.size === 0) this.#options.onEmpty();
  }

  #sendRefuse(streamId: number, refusal: Refusal): void {
    this.#channel.writeFrame(FrameType.refuse, 0, streamId, requireFits(Refusal.encode(refusal).finish()));
  }

  /** Null for a stream that is over (T1). */
  #entry(streamId: number): StreamEntry | null {
    const entry = this.#entries.get(streamId);
    if (entry !== undefined) return entry;
    this.#ids.requireUsed(streamId);
    return null;
  }

  #openEntry(frame: string, streamId: number): TunnelStream | null {
    const entry = this.#entry(streamId);
    if (entry === null) return null;
    if (entry.kind !== "open") throw unexpected(frame, streamId, entry); // T2
    return entry;
  }
}

/** A larger one would end the tunnel at the peer. */
function requireFits(payload: Uint8Array): Uint8Array {
  if (payload.length <= MAX_OPENING_PAYLOAD_BYTES) return payload;
  throw new TunnelError(
    "PAYLOAD_TOO_LARGE",
    `${payload.length} bytes for opening a stream; the limit is ${MAX_OPENING_PAYLOAD_BYTES}.`,
  );
}

function unexpected(frame: string, streamId: number, entry: StreamEntry): FrameError {
  return new FrameError("STREAM_STATE_INVALID", `${frame} for stream ${streamId}, which is ${entry.kind}.`);
}
