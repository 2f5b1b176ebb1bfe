import { connect, type Socket } from "node:net";
import { ConnectorError } from "../errors.ts";
import type { HttpProxy } from "./http-proxy.ts";

const timeoutMs = 10_000;
const maxHeadBytes = 8_192;
const endOfHead = Buffer.from("\r\n\r\n");

/**
 * A connection to `target` (`host:port`) through a proxy. Nothing is believed of it: what it carries is mutual TLS with whoever is meant.
 * Throws PROXY_UNREACHABLE, PROXY_AUTH_REQUIRED, PROXY_REFUSED, or the signal's reason.
 */
export async function connectThrough(proxy: HttpProxy, target: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = connect({ host: proxy.host, port: proxy.port, noDelay: true });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const timer = setTimeout(() => reject(unreachable(proxy, `no answer within ${timeoutMs} ms`)), timeoutMs);
  const onAbort = (): void => reject(signal.reason);
  const onClose = (): void =>
    reject(unreachable(proxy, `it closed the connection without an answer to CONNECT to ${target}`));
  const onError = (error: Error): void => reject(unreachable(proxy, error.message, error));
  const onTooLarge = (): void => reject(refused(proxy, target, `with a head of more than ${maxHeadBytes} bytes`));
  readHead(socket, resolve, onTooLarge);
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("connect", () => socket.write(proxy.connectRequest(target)));
  socket.on("error", onError).once("close", onClose);
  try {
    requireSuccess(await promise, proxy, target);
    socket.off("error", onError);
    return socket;
  } catch (error) {
    // `onError` stays, so that a late error of the destroyed socket has a listener.
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    socket.off("close", onClose);
  }
}

/** Hands over the head of the answer; what came behind it stays in the socket. */
function readHead(socket: Socket, onHead: (head: Buffer) => void, onTooLarge: () => void): void {
  let held = Buffer.alloc(0);
  const read = (): void => {
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
      held = Buffer.concat([held, chunk]);
      const end = held.indexOf(endOfHead);
      if (end === -1 && held.length < maxHeadBytes) continue;
      // Before `unshift`, which makes the socket readable once more.
      socket.off("readable", read);
      if (end === -1 || end + endOfHead.length > maxHeadBytes) return onTooLarge();
      const rest = held.subarray(end + endOfHead.length);
      if (rest.length > 0) socket.unshift(rest);
      return onHead(held.subarray(0, end));
    }
  };
  socket.on("readable", read);
}

function requireSuccess(head: Buffer, proxy: HttpProxy, target: string): void {
  const status = /^HTTP\/1\.[01] (\d{3})(?: |\r|$)/.exec(head.toString("latin1"))?.[1];
  if (status === undefined) throw refused(proxy, target, "with something that is no answer of HTTP/1");
  if (status.startsWith("2")) return;
  if (status !== "407") throw refused(proxy, target, `with status ${status}`);
  throw new ConnectorError({
    code: "PROXY_AUTH_REQUIRED",
    message: `The proxy ${proxy.address} ${proxy.hasLogin ? "does not accept this login" : "wants a login"} (status 407).`,
    remedy:
      "Put it into the proxy's URL, with special characters percent-encoded: SALLYPORT_PROXY=http://user:password@host:port. Only basic authentication is supported.",
  });
}

function refused(proxy: HttpProxy, target: string, how: string): ConnectorError {
  return new ConnectorError({
    code: "PROXY_REFUSED",
    message: `The proxy ${proxy.address} answered CONNECT to ${target} ${how}.`,
    remedy: `Have the proxy allow CONNECT to ${target}, or name it in NO_PROXY where it can be reached directly.`,
  });
}

function unreachable(proxy: HttpProxy, why: string, cause?: Error): ConnectorError {
  return new ConnectorError({
    code: "PROXY_UNREACHABLE",
    message: `The proxy ${proxy.address} could not be used: ${why}.`,
    remedy: "Check SALLYPORT_PROXY and HTTPS_PROXY, and that this machine may connect to the proxy.",
    ...(cause === undefined ? {} : { cause }),
  });
}
