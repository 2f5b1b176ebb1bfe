import { once } from "node:events";
import type { Socket } from "node:net";
import { peekClientHello } from "./client-hello.ts";

export type FirstFlight =
  | { readonly kind: "hello"; readonly alpn: readonly string[] }
  | { readonly kind: "refused"; readonly reason: string };

/**
 * Waits for the ClientHello and leaves its bytes in the socket's read buffer, as if nobody had looked: whoever takes the socket next reads them first.
 * The slow are bounded twice: first byte by `firstByteMs`, all of it by `deadline`.
 */
export async function readClientHello(
  socket: Socket,
  firstByteMs: number,
  deadline: AbortSignal,
): Promise<FirstFlight> {
  const chunks: Buffer[] = [];
  let received = 0;
  let bytesNeeded = 1;
  const firstByte = AbortSignal.any([deadline, AbortSignal.timeout(firstByteMs)]);
  for (;;) {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) {
      if (socket.destroyed || socket.readableEnded) return { kind: "refused", reason: "closed before its ClientHello" };
      const arrived = await once(socket, "readable", { signal: received === 0 ? firstByte : deadline }).then(
        () => true,
        () => false,
      );
      if (!arrived)
        return { kind: "refused", reason: received === 0 ? "no first byte in time" : "no ClientHello in time" };
      continue;
    }
    chunks.push(chunk);
    received += chunk.length;
    // Joined only when the parser can get further, so that a byte-by-byte sender costs no copy per byte.
    if (received < bytesNeeded) continue;
    const bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, received);
    chunks.splice(0, chunks.length, bytes);
    const peek = peekClientHello(bytes);
    switch (peek.kind) {
      case "incomplete":
        bytesNeeded = peek.bytesNeeded;
        continue;
      case "invalid":
        return { kind: "refused", reason: peek.reason };
      case "hello":
        socket.unshift(bytes);
        return peek;
    }
  }
}
