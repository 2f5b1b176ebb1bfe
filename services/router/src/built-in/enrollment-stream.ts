/**
 * Built-in stream `sallyport.enrollment`: bytes to and from enrollment's own mutually authenticated gRPC. What passes is TLS between the workload and
 * enrollment: the router sees nothing of it, and its backpressure is the stream's credit on one side and TCP's on the other.
 */
import { once } from "node:events";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Renewal is one call now and then; whoever stays longer is asked to come again. */
const maxLifeMs = 300_000;
const connectMs = 5_000;

/** Serves one stream until its end. Rejects when it breaks. */
export async function serveEnrollment(
  stream: Duplex,
  address: { readonly host: string; readonly port: number },
): Promise<void> {
  const upstream = connect({ ...address, noDelay: true });
  try {
    await once(upstream, "connect", { signal: AbortSignal.timeout(connectMs) });
    const signal = AbortSignal.timeout(maxLifeMs);
    await Promise.all([pipeline(stream, upstream, { signal }), pipeline(upstream, stream, { signal })]);
  } finally {
    upstream.destroy();
  }
}
