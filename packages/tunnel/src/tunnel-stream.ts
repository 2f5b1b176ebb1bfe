/**
 * One stream of a tunnel as a Duplex.
 *
 * S1. Sending: a write's callback comes when all of it went to the channel. It waits for credit, and for a channel that is not congested.
 * S2. Receiving: the peer is held to the credit it was given; credit for what was read is granted again in steps of half a window, and the window of a
 *     quick reader is wider.
 * S3. FIN ends one direction. When both are ended the tunnel forgets the stream, though its reader may not have read it all.
 * S4. Destroyed before that: queued frames are dropped and the peer gets RESET. But after its own FIN, and with neither a code nor an error to tell,
 *     a stream has said all: nothing is taken back, and the peer has a moment for its FIN, so that a good end is not told as a cancelled one.
 * S5. What waits for its reader costs memory in proportion to its bytes: no small payload keeps a large chunk alive, and many small ones are gathered.
 * S6. A peer cannot end this process: its RESET may come before anyone listens, so that `error` always has a listener. Whoever reads or writes learns of it.
 */
import { Duplex } from "node:stream";
import { Credit, FrameError, WireCode } from "@sallyport/frame";
import { type FastStreams, ReaderPace } from "./fast-streams.ts";
import { MAX_RUN_PAYLOAD_BYTES } from "./outbound.ts";
import { SmallPayloads } from "./small-payloads.ts";
import { TunnelError } from "./tunnel-error.ts";

/** What a stream needs of its tunnel. */
export interface StreamPort {
  readonly congested: boolean;
  /** Of the tunnel. Absent: the window stays the initial one. */
  readonly fastStreams?: FastStreams;
  /** `stream.pump()` is called once the channel is no longer congested. */
  pumpOnDrain(stream: TunnelStream): void;
  sendData(streamId: number, pieces: readonly Uint8Array[], offset: number, payloadBytes: number): void;
  sendWindow(streamId: number, creditBytes: number): void;
  sendFin(streamId: number): void;
  /** Drops the stream's queued frames before. */
  sendReset(streamId: number, wireCode: number): void;
  forget(streamId: number): void;
}

/** Beyond it small payloads are gathered. It does not hold the peer back: credit does. */
const READ_HIGH_WATER_BYTES = 16_384;
/** What `write` takes before it returns false. */
const WRITE_HIGH_WATER_BYTES = 65_536;
/** A payload may keep a chunk of so many times its size alive: a full frame in the largest chunk that a socket reads (64 KiB) is not worth a copy. */
const MAX_CHUNK_SHARE = 8;
/** For the peer's FIN after this side has left (S4). */
const FIN_GRACE_MS = 2_000;

interface Outgoing {
  pieces: readonly Uint8Array[];
  /** Within the first piece. */
  offset: number;
  leftBytes: number;
  readonly done: (error?: Error | null) => void;
}

export class TunnelStream extends Duplex {
  readonly kind = "open";
  readonly streamId: number;
  readonly #port: StreamPort;
  readonly #sendCredit = new Credit();
  readonly #receiveCredit = new Credit();
  readonly #gathered = new SmallPayloads();
  #outgoing: Outgoing | null = null;
  readonly #pace: ReaderPace;
  #localEnded = false;
  #remoteEnded = false;
  #resetCode: number = WireCode.cancelled;
  #isReset = false;
  #lingering = false;
  /** The tunnel no longer knows the stream: nothing is to be sent for it. */
  #forgotten = false;

  constructor(streamId: number, port: StreamPort) {
    super({ readableHighWaterMark: READ_HIGH_WATER_BYTES, writableHighWaterMark: WRITE_HIGH_WATER_BYTES });
    this.streamId = streamId;
    this.#port = port;
    this.#pace = new ReaderPace(port.fastStreams);
    this.on("error", () => {}); // S6
  }

  /** Ends both directions now: unsent bytes are dropped, the peer is told `code` (WireCode), and this side's reader gets no more. */
  reset(code: number): void {
    this.#resetCode = code;
    this.#isReset = true;
    this.destroy();
    if (this.#lingering) this.#sendReset();
  }

  /** @internal DATA, from the tunnel. */
  receiveData(chunk: Buffer, payloadStart: number, payloadEnd: number): void {
    if (this.#remoteEnded) throw new FrameError("STREAM_STATE_INVALID", `DATA for stream ${this.streamId} after FIN.`);
    const payloadBytes = payloadEnd - payloadStart;
    this.#receiveCredit.spend(payloadBytes);
    if (this.destroyed) return;
    // S5. Never while the reader could be waiting: what is gathered is not announced.
    if (this.readableLength >= this.readableHighWaterMark && this.#gathered.add(chunk, payloadStart, payloadEnd))
      return;
    this.#pushGathered();
    const payload = chunk.subarray(payloadStart, payloadEnd);
    this.push(payloadBytes * MAX_CHUNK_SHARE < chunk.length ? Buffer.from(payload) : payload); // S5
    this.#grant(); // A flowing stream hands the bytes on within `push`.
  }

  /** @internal */
  receiveWindow(creditBytes: number): void {
    this.#sendCredit.grant(creditBytes);
    this.pump();
  }

  /** @internal */
  receiveFin(): void {
    if (this.#remoteEnded) throw new FrameError("STREAM_STATE_INVALID", `A second FIN for stream ${this.streamId}.`);
    this.#remoteEnded = true;
    this.#pace.over();
    if (!this.destroyed) {
      this.#pushGathered();
      this.push(null);
    }
    this.#forgetWhenEnded();
  }

  /** @internal The peer reset the stream, or the tunnel ended. */
  fail(error: unknown): void {
    this.#forgotten = true;
    this.destroy(
      error instanceof Error ? error : new TunnelError("TUNNEL_ENDED", "The tunnel ended.", { cause: error }),
    );
  }

  /** @internal Sends what credit and channel allow (S1). */
  pump(): void {
    for (;;) {
      const outgoing = this.#outgoing;
      if (outgoing === null) return;
      const payloadBytes = Math.min(outgoing.leftBytes, this.#sendCredit.availableBytes, MAX_RUN_PAYLOAD_BYTES);
      if (payloadBytes === 0) return;
      if (this.#port.congested) {
        this.#port.pumpOnDrain(this);
        return;
      }
      this.#sendCredit.spend(payloadBytes);
      this.#port.sendData(this.streamId, outgoing.pieces, outgoing.offset, payloadBytes);
      advance(outgoing, payloadBytes);
      if (outgoing.leftBytes === 0) {
        this.#outgoing = null;
        outgoing.done();
      }
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send([chunk], chunk.length, done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    let bytes = 0;
    const pieces: Buffer[] = [];
    for (const { chunk } of chunks) {
      if (chunk.length === 0) continue;
      pieces.push(chunk);
      bytes += chunk.length;
    }
    this.#send(pieces, bytes, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#forgotten) this.#port.sendFin(this.streamId);
    this.#localEnded = true;
    this.#forgetWhenEnded();
    done();
  }

  // Data comes when the peer sends it; asking is done by credit.
  override _read(): void {}

  /** As in Readable; a place where credit is granted again (S2), since `_read` is called before the bytes leave the buffer. */
  override read(size?: number): unknown {
    this.#pushGathered();
    const bytes: unknown = super.read(size);
    this.#grant();
    return bytes;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const outgoing = this.#outgoing;
    this.#outgoing = null;
    this.#pace.over();
    // S4
    if (this.#localEnded && !this.#isReset && error === null) this.#linger();
    else this.#sendReset();
    outgoing?.done(
      error ?? new TunnelError("STREAM_RESET", "The stream was reset by this side.", { wireCode: this.#resetCode }),
    );
    done(error);
  }

  #send(pieces: readonly Buffer[], bytes: number, done: (error?: Error | null) => void): void {
    if (bytes === 0) {
      done();
      return;
    }
    this.#outgoing = { pieces, offset: 0, leftBytes: bytes, done };
    this.pump();
  }

  #sendReset(): void {
    if (this.#forgotten) return;
    this.#forgotten = true;
    this.#port.sendReset(this.streamId, this.#resetCode);
    this.#port.forget(this.streamId);
  }

  #linger(): void {
    if (this.#forgotten) return;
    this.#lingering = true;
    setTimeout(() => this.#sendReset(), FIN_GRACE_MS).unref();
  }

  #pushGathered(): void {
    const gathered = this.#gathered.take();
    if (gathered !== null) this.push(gathered);
  }

  /** S2 */
  #grant(): void {
    if (this.#remoteEnded || this.#forgotten) return;
    const aheadBytes = this.#receiveCredit.availableBytes + this.#gathered.bytes + this.readableLength;
    const stepBytes = this.#pace.windowBytes / 2;
    if (this.#pace.windowBytes - aheadBytes < stepBytes) return;
    const creditBytes = this.#pace.took(performance.now()) - aheadBytes;
    if (creditBytes <= 0) return; // The share became smaller.
    this.#receiveCredit.grant(creditBytes);
    this.#port.sendWindow(this.streamId, creditBytes);
  }

  #forgetWhenEnded(): void {
    if (!this.#localEnded || !this.#remoteEnded || this.#forgotten) return; // S3
    this.#forgotten = true;
    this.#port.forget(this.streamId);
  }
}

function advance(outgoing: Outgoing, sentBytes: number): void {
  outgoing.leftBytes -= sentBytes;
  let offset = outgoing.offset + sentBytes;
  let whole = 0;
  for (const piece of outgoing.pieces) {
    if (offset < piece.length) break;
    offset -= piece.length;
    whole += 1;
  }
  if (whole > 0) outgoing.pieces = outgoing.pieces.slice(whole);
  outgoing.offset = offset;
}
