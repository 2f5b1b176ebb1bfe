/**
 * Dials that cost their makers next to nothing, so that the router's own part of an open shows: frames of which only the stream id is new.
 * Each circuit that is accepted is reset at once.
 */
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import {
  FrameDecoder,
  FrameType,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  encodeFrame,
  encodePing,
  encodeReset,
} from "@sallyport/frame";
import { Control, HostAnnounce, Refusal, StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import { serveWorker, type IssuedIdentity } from "@sallyport/testing";

export interface RawOpensApi {
  /** Hosts the service: every OPEN is accepted. */
  readonly host: (to: RawTunnelOptions) => Promise<null>;
  /** One more tunnel to dial over. */
  readonly connect: (to: RawTunnelOptions) => Promise<null>;
  /** Dials over all tunnels for `ms`, `perTunnelPerSecond` at most; answers with the circuits that came to be, and how long it took. */
  readonly dial: (options: {
    readonly ms: number;
    readonly perTunnelPerSecond: number;
  }) => Promise<{ readonly opened: number; readonly ms: number }>;
}

export interface RawTunnelOptions {
  readonly port: number;
  readonly identity: IssuedIdentity;
  readonly service: string;
}

const accept = StreamAccept.encode(StreamAccept.create()).finish();
/** Of probes. */
const declines = Refusal.encode(Refusal.create({ code: "NO_HOST" })).finish();
const tickMs = 10;
/** Dials of a tunnel that wait for their answer at once. */
const maxWaiting = 100;

class RawTunnel {
  opened = 0;
  waiting = 0;
  readonly #socket: TLSSocket;
  readonly #open: Buffer;
  readonly #hosted = Promise.withResolvers<void>();
  #nextStreamId = 1;

  private constructor(socket: TLSSocket, service: string) {
    this.#socket = socket;
    const open = StreamOpen.create({ service, circuitNonce: Buffer.alloc(16, 7) });
    this.#open = encodeFrame(FrameType.open, 0, 1, StreamOpen.encode(open).finish());
    const decoder = new FrameDecoder((type, flags, streamId, chunk, start, end) =>
      this.#onFrame(type, flags, streamId, chunk.subarray(start + HEADER_BYTES, end)),
    );
    socket.on("data", (chunk: Buffer) => {
      socket.cork();
      decoder.push(chunk);
      socket.uncork();
    });
    socket.on("close", () => {
      throw new Error("The router closed a tunnel of the load.");
    });
  }

  static async connect({ port, identity, service }: RawTunnelOptions): Promise<RawTunnel> {
    const socket = connect({
      host: "127.0.0.1",
      port,
      cert: identity.chain,
      key: identity.privateKey,
      ca: identity.roots,
      ALPNProtocols: ["sallyport/1"],
      // The names of these certificates are SPIFFE IDs.
      checkServerIdentity: () => undefined,
    });
    await once(socket, "secureConnect");
    const tunnel = new RawTunnel(socket, service);
    const hello = {
      protocolVersion: 1,
      maxStreams: 256,
      initialWindowBytes: INITIAL_WINDOW_BYTES,
      software: "load/1",
      routerId: "",
      routerEpoch: 0,
    };
    tunnel.#control({ message: { $case: "hello", value: hello } });
    return tunnel;
  }

  async host(service: string): Promise<void> {
    this.#control({ message: { $case: "hostAnnounce", value: HostAnnounce.create({ service }) } });
    await this.#hosted.promise;
  }

  dial(count: number): void {
    this.#socket.cork();
    for (let dials = 0; dials < count && this.waiting < maxWaiting; dials += 1) {
      const open = Buffer.from(this.#open);
      open.writeUInt32BE(this.#nextStreamId, 4);
      this.#nextStreamId += 2;
      this.waiting += 1;
      this.#socket.write(open);
    }
    this.#socket.uncork();
  }

  #onFrame(type: number, flags: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case FrameType.open:
        if (payload.subarray(2).indexOf("sallyport.probe") === 0)
          this.#socket.write(encodeFrame(FrameType.refuse, 0, streamId, declines));
        else this.#socket.write(encodeFrame(FrameType.accept, 0, streamId, accept));
        return;
      case FrameType.accept:
        this.opened += 1;
        this.waiting -= 1;
        this.#socket.write(encodeReset(streamId, 0));
        return;
      case FrameType.ping:
        if (flags === 0) this.#socket.write(encodePing(payload, true));
        return;
      case FrameType.control:
        if (Control.decode(payload).message?.$case === "hostResult") this.#hosted.resolve();
        return;
      case FrameType.reset:
        return;
      default:
        throw new Error(`The router sent a frame of type ${type}: ${payload.toString("latin1")}`);
    }
  }

  #control(message: Control): void {
    this.#socket.write(encodeFrame(FrameType.control, 0, 0, Control.encode(message).finish()));
  }
}

const dialing: RawTunnel[] = [];

const api: RawOpensApi = {
  host: async (to) => {
    await (await RawTunnel.connect(to)).host(to.service);
    return null;
  },
  connect: async (to) => {
    dialing.push(await RawTunnel.connect(to));
    return null;
  },
  dial: async ({ ms, perTunnelPerSecond }) => {
    const opened = (): number => dialing.reduce((sum, tunnel) => sum + tunnel.opened, 0);
    const [before, startedAt] = [opened(), performance.now()];
    let dialled = 0;
    const timer = setInterval(() => {
      const due = ((performance.now() - startedAt) / 1_000) * perTunnelPerSecond - dialled;
      const count = Math.min(Math.floor(due), Math.ceil((perTunnelPerSecond * tickMs * 4) / 1_000));
      dialled += count;
      for (const tunnel of dialing) tunnel.dial(count);
    }, tickMs);
    await new Promise((resolve) => setTimeout(resolve, ms));
    clearInterval(timer);
    return { opened: opened() - before, ms: performance.now() - startedAt };
  },
};

serveWorker(api);
