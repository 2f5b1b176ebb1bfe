/**
 * The authenticated byte stream between two workloads: a Duplex over the TLS session of a bound circuit.
 *
 * 1. Bytes are data records; each direction ends with END and the count of its bytes. TLS is closed only after both ends were exchanged.
 * 2. One terminal path, `#finish`: the first end wins, `closedBy` resolves, and everything but `ended` destroys with an error.
 * 3. A cut by this side resets the stream of the tunnel at once: queued bytes are dropped, nothing more reaches the application.
 */
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { WireCode } from "@sallyport/frame";
import type { Peer } from "@sallyport/mtls";
import type { Decision } from "@sallyport/policy-engine";
import { TunnelError } from "@sallyport/tunnel";
import type { CircuitRole } from "./binding.ts";
import { circuitError, type CircuitEnd } from "./circuit-end.ts";
import { DataWriter } from "./data-writer.ts";
import { encodeEnd, encodeReset, maxPlaintextBytes, RecordReader, type RecordFault } from "./record.ts";

/** What both ends agreed on before the first byte of data. */
export interface CircuitFacts {
  readonly circuitId: string;
  readonly service: string;
  readonly role: CircuitRole;
  /** Proven in the circuit's own handshake. */
  readonly peer: Peer;
  /** By which the router decided, bound into the circuit. */
  readonly sliceVersion: number;
  /** The router's decision. */
  readonly routerDecisionId: string;
  /** This end's own decision about the other end. */
  readonly decision: Decision;
}

/** The stream under the circuit's TLS: of a tunnel, or any other carrier. */
export interface CircuitCarrier extends Duplex {
  /** Ends both directions now and drops what is queued; `code` is a WireCode. */
  reset(code: number): void;
}

/** What `write` takes before it returns false: so much gathers while what came before leaves, and then goes in one run. */
const writeHighWaterBytes = 262_144;
/** How long the last records may take to leave before the carrier is ended under them. */
const lingerMs = 2_000;

export class Circuit extends Duplex implements CircuitFacts {
  readonly circuitId: string;
  readonly service: string;
  readonly role: CircuitRole;
  readonly peer: Peer;
  readonly sliceVersion: number;
  readonly routerDecisionId: string;
  readonly decision: Decision;
  readonly openedAt: Date = new Date();
  /** Never rejects. */
  readonly closedBy: Promise<CircuitEnd>;
  readonly #socket: TLSSocket;
  readonly #carrier: CircuitCarrier;
  readonly #reader: RecordReader;
  readonly #writer: DataWriter;
  readonly #settled: PromiseWithResolvers<CircuitEnd> = Promise.withResolvers();
  #end: CircuitEnd | undefined;
  #sent = 0;
  #endSent = false;
  #endReceived = false;

  /** `rest`: what arrived of the records behind the binding. */
  constructor(socket: TLSSocket, carrier: CircuitCarrier, facts: CircuitFacts, rest: Buffer) {
    super({ allowHalfOpen: true, writableHighWaterMark: writeHighWaterBytes });
    this.circuitId = facts.circuitId;
    this.service = facts.service;
    this.role = facts.role;
    this.peer = facts.peer;
    this.sliceVersion = facts.sliceVersion;
    this.routerDecisionId = facts.routerDecisionId;
    this.decision = facts.decision;
    this.#socket = socket;
    this.#carrier = carrier;
    this.#writer = new DataWriter(socket);
    this.closedBy = this.#settled.promise;
    this.#reader = new RecordReader({
      onData: (bytes) => {
        if (!this.push(bytes)) socket.pause();
      },
      onEnd: () => this.#onEnd(),
      onReset: (code) => this.#finish({ kind: "reset", by: "peer", code }),
    });
    socket.setMaxSendFragment(maxPlaintextBytes);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#onCut(error));
    socket.once("end", () => this.#onCut(undefined));
    socket.once("close", () => this.#onCut(undefined));
    carrier.on("error", (error) => this.#onCut(error));
    if (rest.length > 0) this.#receive(rest);
    if (socket.destroyed) this.#onCut(socket.errored ?? undefined);
  }

  /** Data bytes that this end sent, and that it received. */
  get bytesSent(): number {
    return this.#sent;
  }

  get bytesReceived(): number {
    return this.#reader.received;
  }

  /** Ends it now as no longer allowed. */
  revoke(decision: Decision): void {
    this.#finish({ kind: "revoked", decision });
  }

  /** Ends it now because a certificate's life is over. */
  expire(): void {
    this.#finish({ kind: "expired" });
  }

  /** Ends it now; the other end learns `code` (WireCode) from a record that it can trust. */
  reset(code: number): void {
    this.#finish({ kind: "reset", by: "self", code });
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send([chunk], chunk.length, done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    const pieces = chunks.map(({ chunk }) => chunk);
    this.#send(
      pieces,
      pieces.reduce((bytes, piece) => bytes + piece.length, 0),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#endSent = true;
    this.#socket.write(encodeEnd(this.#sent), (error) => {
      done(error);
      this.#finishWhenBothEnded();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Destroyed by its user, by a pipeline that failed, or by `#finish`.
    if (this.#end === undefined && !this.#bothEnded())
      this.#settle({ kind: "reset", by: "self", code: WireCode.cancelled });
    done(error);
  }

  #send(pieces: readonly Buffer[], bytes: number, done: (error?: Error | null) => void): void {
    this.#sent += bytes;
    if (bytes === 0) done();
    else this.#writer.write(pieces, bytes, done);
  }

  #receive(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    const fault = this.#reader.push(chunk);
    if (fault !== undefined) this.#finish({ kind: "truncated", reason: faults[fault] });
  }

  #onEnd(): void {
    this.#endReceived = true;
    this.push(null);
    // Nobody may be reading any more, and a Duplex that is not read never ends.
    this.#finishWhenBothEnded();
  }

  #onCut(cause: Error | undefined): void {
    if (this.#end !== undefined || this.#bothEnded()) return;
    const code = cause instanceof TunnelError ? cause.wireCode : null;
    if (code !== null) return this.#finish({ kind: "reset", by: "router", code });
    const reason = cause?.message ?? "the connection closed without an authenticated end";
    this.#finish({ kind: isBrokenTls(cause) ? "altered" : "truncated", reason });
  }

  #bothEnded(): boolean {
    return this.#endSent && this.#endReceived;
  }

  #finishWhenBothEnded(): void {
    if (this.#bothEnded()) this.#settle({ kind: "ended" });
  }

  /** 2. */
  #finish(end: CircuitEnd): void {
    if (this.#end !== undefined) return;
    this.#settle(end);
    this.destroy(circuitError(this.service, end));
  }

  #settle(end: CircuitEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#settled.resolve(end);
    this.#release(end);
  }

  #release(end: CircuitEnd): void {
    switch (end.kind) {
      case "ended":
        this.#linger(WireCode.none);
        return;
      case "reset":
        if (end.by !== "self" || end.code === WireCode.revoked) {
          this.#cut(end.code);
          return;
        }
        this.#socket.write(encodeReset(end.code));
        this.#linger(end.code);
        return;
      case "revoked":
        this.#cut(WireCode.revoked);
        return;
      case "expired":
        this.#cut(WireCode.expired);
        return;
      case "truncated":
        this.#cut(WireCode.cancelled);
        return;
      case "altered":
        this.#cut(WireCode.protocol);
        return;
    }
  }

  #linger(code: number): void {
    const timer = setTimeout(() => this.#cut(code), lingerMs);
    timer.unref();
    this.#socket.once("close", () => clearTimeout(timer));
    this.#socket.end();
    this.#socket.resume();
  }

  /** 3. */
  #cut(code: number): void {
    this.#carrier.reset(code);
    this.#socket.destroy();
  }
}

/** TLS found a record that is not the next one that the other end sealed, or was told so by the other end's TLS. */
function isBrokenTls(cause: Error | undefined): boolean {
  return cause !== undefined && "code" in cause && typeof cause.code === "string" && cause.code.startsWith("ERR_SSL_");
}

const faults: Readonly<Record<RecordFault, string>> = {
  TYPE_UNKNOWN: "a record of an unknown type arrived",
  LENGTH_INVALID: "a record of an impossible length arrived",
  AFTER_END: "bytes arrived after the end",
  COUNT_MISMATCH: "the count of bytes in its end is not what arrived",
};
