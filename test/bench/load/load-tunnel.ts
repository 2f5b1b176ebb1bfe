/**
 * A workload's end of a tunnel that costs next to nothing, so that a load of gigabytes leaves the machine to the router: frames are encoded once
 * and sent again and again, and what arrives is counted. It keeps the rules of the frame protocol, credit included.
 */
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import {
  FrameDecoder,
  FrameType,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_PAYLOAD_BYTES,
  WireCode,
  encodeFrame,
  encodePing,
  encodeReset,
  encodeWindow,
  u32At,
} from "@sallyport/frame";
import { Control, HostAnnounce, Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import type { PemIdentity } from "../peers/certificate-files.ts";

/** What one write carries, about: four full TLS records. */
export const writeBytes = 65_536;
const grantBytes = INITIAL_WINDOW_BYTES / 2;

export interface LoadTunnelOptions {
  readonly port: number;
  readonly identity: PemIdentity;
  /** What a host sends on each stream that it is offered. Default: nothing. */
  readonly answerBytes?: number;
}

interface Stream {
  creditBytes: number;
  receivedBytes: number;
  ungrantedBytes: number;
  run: Buffer;
}

export class LoadTunnel {
  receivedBytes = 0;
  onReceived: () => void = () => undefined;
  readonly #socket: TLSSocket;
  readonly #streams = new Map<number, Stream>();
  readonly #answered = new Map<number, () => void>();
  readonly #answerBytes: number;
  readonly #waiting = new Set<() => void>();
  #nextStreamId = 1;

  private constructor(socket: TLSSocket, answerBytes: number) {
    this.#socket = socket;
    this.#answerBytes = answerBytes;
    const decoder = new FrameDecoder((type, flags, streamId, chunk, start, end) =>
      this.#onFrame(type, flags, streamId, chunk, start + HEADER_BYTES, end),
    );
    socket.on("data", (chunk: Buffer) => decoder.push(chunk));
    socket.on("drain", () => this.#wake());
    socket.on("close", () => {
      // Once nothing is waited for, the benchmark is over and the router may go first.
      if (this.#waiting.size > 0 || this.#answered.size > 0) throw new Error("The router closed a tunnel of the load.");
    });
  }

  static async connect({ port, identity, answerBytes = 0 }: LoadTunnelOptions): Promise<LoadTunnel> {
    const socket = connectTls(port, identity);
    await once(socket, "secureConnect");
    const tunnel = new LoadTunnel(socket, answerBytes);
    const value = {
      protocolVersion: 1,
      maxStreams: 256,
      initialWindowBytes: INITIAL_WINDOW_BYTES,
      software: "load/1",
      routerId: "",
      routerEpoch: 0,
    };
    tunnel.#control({ message: { $case: "hello", value } });
    return tunnel;
  }

  /** Resolves when the router has taken the service on. */
  async host(service: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answered.set(0, resolve);
    this.#control({ message: { $case: "hostAnnounce", value: HostAnnounce.create({ service }) } });
    await promise;
  }

  /** Opens a stream and answers with its id. */
  async open(service: string): Promise<number> {
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answered.set(streamId, resolve);
    const open = StreamOpen.create({ service, circuitNonce: Buffer.alloc(16, streamId) });
    this.#socket.write(encodeFrame(FrameType.open, 0, streamId, StreamOpen.encode(open).finish()));
    await promise;
    return streamId;
  }

  /** Sends at least `bytes` of payload, in turns over the streams, in frames of `payloadBytes`. */
  async send(streamIds: readonly number[], bytes: number, payloadBytes: number): Promise<number> {
    const framesPerRun = Math.max(1, Math.floor(writeBytes / (payloadBytes + HEADER_BYTES)));
    const runPayload = framesPerRun * payloadBytes;
    const streams = streamIds.map((id) => this.#stream(id));
    for (const [index, stream] of streams.entries()) {
      const frame = encodeFrame(FrameType.data, 0, streamIds[index] ?? 0, Buffer.alloc(payloadBytes, 7));
      stream.run = Buffer.concat(Array.from({ length: framesPerRun }, () => frame));
    }
    let sent = 0;
    while (sent < bytes) {
      let progressed = false;
      for (const stream of streams) {
        if (stream.creditBytes < runPayload || sent >= bytes) continue;
        stream.creditBytes -= runPayload;
        sent += runPayload;
        progressed = true;
        if (!this.#socket.write(stream.run)) await this.#woken();
      }
      if (!progressed) await this.#woken();
    }
    return sent;
  }

  /** On a fresh stream so many bytes there, and as many back from a host with `answerBytes`; then the stream is over. */
  async exchange(service: string, bytes: number): Promise<void> {
    const streamId = await this.open(service);
    await this.send([streamId], bytes, MAX_PAYLOAD_BYTES);
    while (this.#stream(streamId).receivedBytes < bytes) await this.#woken();
    this.#socket.write(encodeReset(streamId, WireCode.cancelled));
    this.#streams.delete(streamId);
  }

  /** Until something arrives or may be sent again. */
  async #woken(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    await promise;
  }

  #answer(streamId: number): void {
    const resolve = this.#answered.get(streamId);
    this.#answered.delete(streamId);
    resolve?.();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  #onFrame(type: number, flags: number, streamId: number, chunk: Buffer, start: number, end: number): void {
    switch (type) {
      case FrameType.data:
        return this.#onData(streamId, end - start);
      case FrameType.window:
        this.#stream(streamId).creditBytes += u32At(chunk, start);
        return this.#wake();
      case FrameType.ping:
        if (flags === 0) this.#socket.write(encodePing(chunk.subarray(start, end), true));
        return;
      case FrameType.open: {
        if (StreamOpen.decode(chunk.subarray(start, end)).service === "sallyport.probe") {
          const refusal = Refusal.create({ code: "NO_HOST", message: "A load is not probed." });
          this.#socket.write(encodeFrame(FrameType.refuse, 0, streamId, Refusal.encode(refusal).finish()));
          return;
        }
        const accept = StreamAccept.encode(StreamAccept.create()).finish();
        this.#socket.write(encodeFrame(FrameType.accept, 0, streamId, accept));
        if (this.#answerBytes > 0) void this.send([streamId], this.#answerBytes, MAX_PAYLOAD_BYTES);
        return;
      }
      case FrameType.goaway:
        return;
      case FrameType.reset:
        this.#streams.delete(streamId);
        return;
      case FrameType.accept:
        return this.#answer(streamId);
      case FrameType.control:
        if (Control.decode(chunk.subarray(start, end)).message?.$case === "hostResult") this.#answer(0);
        return;
      default:
        throw new Error(`The router sent a frame of type ${type}.`);
    }
  }

  #onData(streamId: number, payloadBytes: number): void {
    this.receivedBytes += payloadBytes;
    const stream = this.#stream(streamId);
    stream.receivedBytes += payloadBytes;
    stream.ungrantedBytes += payloadBytes;
    if (stream.ungrantedBytes >= grantBytes) {
      this.#socket.write(encodeWindow(streamId, stream.ungrantedBytes));
      stream.ungrantedBytes = 0;
    }
    this.onReceived();
    this.#wake();
  }

  #stream(streamId: number): Stream {
    const known = this.#streams.get(streamId);
    if (known !== undefined) return known;
    const stream = { creditBytes: INITIAL_WINDOW_BYTES, receivedBytes: 0, ungrantedBytes: 0, run: Buffer.alloc(0) };
    this.#streams.set(streamId, stream);
    return stream;
  }

  #control(message: Control): void {
    this.#socket.write(encodeFrame(FrameType.control, 0, 0, Control.encode(message).finish()));
  }
}

/** Every client of the splice's benchmark, whatever stands behind the port. */
export function connectTls(port: number, { chain, privateKey, roots }: PemIdentity): TLSSocket {
  return connect({
    host: "127.0.0.1",
    port,
    cert: chain,
    key: privateKey,
    ca: roots,
    minVersion: "TLSv1.3",
    ALPNProtocols: ["sallyport/1"],
    // The names of these certificates are SPIFFE IDs.
    checkServerIdentity: () => undefined,
  }).setNoDelay(true);
}
