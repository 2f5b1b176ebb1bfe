import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { FrameDecoder, FrameType, HEADER_BYTES, INITIAL_WINDOW_BYTES, encodeFrame } from "@sallyport/frame";
import { routerId } from "@sallyport/identity";
import { connectMtls, type ConnectOptions } from "@sallyport/mtls";
import { Control, StreamAccept, StreamOpen, HostAnnounce, type Hello } from "@sallyport/proto/tunnel";
import { openOf, type RouterNetwork } from "./router-network.ts";

export interface RawFrame {
  readonly type: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A workload that says exactly what a test wants, whether the protocol allows it or not. */
export class RawTunnel {
  readonly socket: TLSSocket;
  readonly #received: RawFrame[] = [];
  #wake: () => void = () => undefined;
  #taken = 0;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    const decoder = new FrameDecoder((type, _flags, streamId, chunk, start, end) => {
      this.#received.push({ type, streamId, payload: Buffer.from(chunk.subarray(start + HEADER_BYTES, end)) });
      this.#wake();
    });
    socket.on("data", (chunk: Buffer) => decoder.push(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#wake());
  }

  static async connect(network: RouterNetwork, name: string): Promise<RawTunnel> {
    const identity = await network.authority.source(network.workloadId(name));
    const tunnel = await RawTunnel.over({ carrier: network.router.address, identity, alpn: "sallyport/1" }, network);
    tunnel.hello({});
    await tunnel.next(FrameType.control);
    return tunnel;
  }

  /** As another router, with the link's hello: whatever it says next is the test's. */
  static async link(network: RouterNetwork, name: string, hello: Partial<Hello> = {}): Promise<RawTunnel> {
    const { authority, router } = network;
    const id = routerId(authority.trustDomain, name);
    const identity = await authority.source(id);
    const link = await RawTunnel.over({ carrier: router.linkAddress, identity, alpn: "sallyport-link/1" }, network);
    link.hello({ routerId: id.uri, routerEpoch: 1, ...hello });
    return link;
  }

  static async over(
    to: Pick<ConnectOptions, "carrier" | "identity" | "alpn">,
    { authority }: RouterNetwork,
  ): Promise<RawTunnel> {
    const { socket } = await connectMtls({ ...to, trust: authority.bundle, expect: () => true });
    return new RawTunnel(socket);
  }

  hello(change: Partial<Hello>): void {
    const hello = { protocolVersion: 1, maxStreams: 256, initialWindowBytes: INITIAL_WINDOW_BYTES, software: "raw" };
    this.control({ message: { $case: "hello", value: { ...hello, routerId: "", routerEpoch: 0, ...change } } });
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  frame(type: number, streamId: number, payload?: Uint8Array): void {
    this.write(encodeFrame(type, 0, streamId, payload));
  }

  control(message: Control): void {
    this.frame(FrameType.control, 0, Control.encode(message).finish());
  }

  announce(service: string): void {
    this.control({ message: { $case: "hostAnnounce", value: HostAnnounce.create({ service }) } });
  }

  open(streamId: number, service: string, more: Partial<StreamOpen> = {}): void {
    this.frame(FrameType.open, streamId, StreamOpen.encode({ ...openOf(service), ...more }).finish());
  }

  accept(streamId: number): void {
    const accept = { circuitId: "", sliceVersion: 0, decisionId: "", hostId: "" };
    this.frame(FrameType.accept, streamId, StreamAccept.encode(accept).finish());
  }

  /** The next frame of that type; others before it are passed over. */
  async next(type: number): Promise<RawFrame> {
    const deadline = AbortSignal.timeout(5_000);
    for (;;) {
      while (this.#taken < this.#received.length) {
        const frame = this.#received[this.#taken++];
        if (frame !== undefined && frame.type === type) return frame;
      }
      if (this.socket.destroyed) throw new Error("the tunnel is closed");
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      deadline.addEventListener("abort", () => resolve());
      await promise;
      deadline.throwIfAborted();
    }
  }

  received(): readonly RawFrame[] {
    return this.#received;
  }

  async closed(): Promise<void> {
    if (this.socket.closed) return;
    await once(this.socket, "close", { signal: AbortSignal.timeout(5_000) });
  }
}
