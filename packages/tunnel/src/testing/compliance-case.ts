import { once } from "node:events";
import type { Duplex } from "node:stream";
import { StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import type { IncomingStream } from "../incoming-stream.ts";
import type { CreateTunnel } from "../tunnel-endpoint.ts";
import type { TunnelStream } from "../tunnel-stream.ts";

export interface ComplianceSubject {
  readonly create: CreateTunnel;
  /** Two ends of one fresh connection. */
  readonly carriers: () => Promise<readonly [Duplex, Duplex]>;
}

export interface ComplianceCase {
  readonly title: string;
  readonly run: (subject: ComplianceSubject) => Promise<void>;
}

export const dial: StreamOpen = StreamOpen.create({ service: "files", circuitNonce: Buffer.alloc(16, 1) });

export function echo(incoming: IncomingStream): void {
  const stream = incoming.accept(StreamAccept.create());
  stream.on("error", () => {}).pipe(stream);
}

/** Resolves with the next stream that the side accepts. */
export function acceptor(): {
  readonly onOpen: (incoming: IncomingStream) => void;
  readonly stream: Promise<TunnelStream>;
} {
  const stream = Promise.withResolvers<TunnelStream>();
  return {
    onOpen: (incoming) => {
      const taken = incoming.accept(StreamAccept.create({ circuitId: "c-1" }));
      taken.on("error", () => {});
      stream.resolve(taken);
    },
    stream: stream.promise,
  };
}

export async function errorOf(stream: Duplex): Promise<unknown> {
  if (stream.errored !== null) return stream.errored;
  const [error]: unknown[] = await once(stream, "error");
  return error;
}
