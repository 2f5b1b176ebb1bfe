/**
 * One unary gRPC call over a TLS session that somebody else made and judged (gRPC over HTTP/2, PROTOCOL-HTTP2.md).
 *
 * grpc-js insists on opening its connections itself, by address. Here the carrier is a stream of the tunnel, or a session that speaks
 * `sallyport-enroll/1`, so the few frames of a unary call are made with node:http2.
 */
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import type { Duplex } from "node:stream";
import { ErrorDetail } from "@sallyport/proto/errors";
import { Status } from "@sallyport/proto/status";
import { ConnectorError } from "../errors.ts";

/** The part of a generated method definition that a call needs. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A call that the other side answered with an error. */
export class RpcRefusal extends ConnectorError {
  /** The stable code of the error detail; empty when the server gave none. */
  readonly rpcCode: string;
  /**
   * Whether the request as such was turned down, so that nothing came of it. An overloaded or half-absent server may have done its work
   * and only lost the acknowledgement: then the same request must be sent again.
   */
  readonly isFinal: boolean;

  constructor(path: string, status: string, rpcCode: string, message: string, remedy: string) {
    super({
      code: "RPC_FAILED",
      message: rpcCode === "" ? `${path} failed: ${message}` : `${message} (${rpcCode})`,
      ...(remedy === "" ? {} : { remedy }),
    });
    this.rpcCode = rpcCode;
    this.isFinal = rpcCode !== "" && finalStatuses.has(status);
  }
}

/** INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED (grpc/statuscodes.md). */
const finalStatuses: ReadonlySet<string> = new Set(["3", "5", "6", "7", "9", "11", "16"]);
const maxResponseBytes = 1024 * 1024;
const prefixBytes = 5;
const detailType = "type.googleapis.com/sallyport.errors.v1.ErrorDetail";

/** Throws RpcRefusal for an answer that is an error, ConnectorError RPC_FAILED for none. Ends `carrier`. */
export async function callUnary<Request, Response>(
  carrier: Duplex,
  method: UnaryMethod<Request, Response>,
  request: Request,
  signal: AbortSignal,
): Promise<Response> {
  const session = connect("http://sallyport", { createConnection: () => carrier });
  const failed = new Promise<never>((_, reject) => {
    session.once("error", (cause) => reject(noAnswer(method.path, cause)));
    session.once("close", () => reject(noAnswer(method.path)));
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    return await Promise.race([exchange(session, method, request), failed]);
  } finally {
    session.destroy();
    carrier.destroy();
  }
}

async function exchange<Request, Response>(
  session: ClientHttp2Session,
  method: UnaryMethod<Request, Response>,
  request: Request,
): Promise<Response> {
  const stream = session.request({
    ":method": "POST",
    ":path": method.path,
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-timeout": "10S",
  });
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on("response", (received) => (headers = received));
  stream.on("trailers", (received) => (trailers = received));
  stream.end(withPrefix(method.requestSerialize(request)));
  const body: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxResponseBytes) throw noAnswer(method.path);
    body.push(chunk);
  }
  // An error without a body carries its status in the headers ("Trailers-Only").
  throwUnlessOk(method.path, { ...headers, ...trailers });
  return method.responseDeserialize(withoutPrefix(method.path, Buffer.concat(body)));
}

function withPrefix(message: Buffer): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function withoutPrefix(path: string, body: Buffer): Buffer {
  if (body.length < prefixBytes || body[0] !== 0 || body.readUInt32BE(1) !== body.length - prefixBytes)
    throw noAnswer(path);
  return body.subarray(prefixBytes);
}

function throwUnlessOk(path: string, answer: IncomingHttpHeaders): void {
  const status = answer["grpc-status"];
  if (status === "0") return;
  const details = answer["grpc-status-details-bin"];
  const detail = typeof details === "string" ? errorDetail(details) : undefined;
  const message = decodeURIComponent(String(answer["grpc-message"] ?? "no reason was given"));
  throw new RpcRefusal(path, String(status ?? ""), detail?.code ?? "", message, detail?.remedy ?? "");
}

function errorDetail(base64: string): ErrorDetail | undefined {
  try {
    const any = Status.decode(Buffer.from(base64, "base64")).details.find(({ typeUrl }) => typeUrl === detailType);
    return any === undefined ? undefined : ErrorDetail.decode(any.value);
  } catch {
    return undefined;
  }
}

function noAnswer(path: string, cause?: unknown): ConnectorError {
  return new ConnectorError({ code: "RPC_FAILED", message: `${path} got no answer: the connection broke.`, cause });
}
