import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { issueLeaf, serviceId, verifyCsr, type SpiffeId } from "@sallyport/identity";
import { createMtlsServer } from "@sallyport/mtls";
import { EnrollRequest, EnrollResponse, RenewRequest } from "@sallyport/proto/enrollment";
import { ErrorDetail } from "@sallyport/proto/errors";
import { Status } from "@sallyport/proto/status";
import type { TestAuthority } from "@sallyport/testing";

interface ErrorAnswer {
  readonly code: string;
  readonly message: string;
  /** Default: 9, FAILED_PRECONDITION. */
  readonly status?: number;
}

type Answer = EnrollResponse | ErrorAnswer;

/** Enrollment as far as the wire shows it: both methods over HTTP/2, real certificates, answers of the test's choice. */
export interface EnrollmentService {
  readonly enrollRequests: EnrollRequest[];
  readonly renewRequests: RenewRequest[];
  /** Serves a carrier with the server certificate only, or with mutual TLS. */
  serve(carrier: Duplex, clientCertificate: "none" | "required"): Promise<void>;
  /** The next answers are this error instead. */
  refuseWith: ErrorAnswer | undefined;
  /** Ends the connection instead of answering, so many times. */
  loseAnswers: number;
}

export interface EnrollmentServiceOptions {
  readonly authority: TestAuthority;
  /** Who gets the certificates. */
  readonly subject: SpiffeId;
  readonly routers: readonly string[];
  /** Who the server is. Default: enrollment. */
  readonly identityId?: SpiffeId;
}

export async function enrollmentService(options: EnrollmentServiceOptions): Promise<EnrollmentService> {
  const { authority, subject, routers } = options;
  const identity = await authority.source(options.identityId ?? serviceId(authority.trustDomain, "enrollment", "1"));
  const servers = {
    none: createMtlsServer({
      identity,
      alpn: ["sallyport-enroll/1"],
      clientCertificate: "none",
      group: "any",
      sendRoot: true,
    }),
    required: createMtlsServer({ identity, alpn: ["h2"], clientCertificate: "required", group: "any" }),
  };
  let generation = 0;
  const service: EnrollmentService = {
    enrollRequests: [],
    renewRequests: [],
    refuseWith: undefined,
    loseAnswers: 0,
    serve: async (carrier, clientCertificate) => {
      const { socket } = await servers[clientCertificate].accept(carrier);
      const http: Http2Server = createHttp2Server();
      http.on("stream", (stream, headers) => void onStream(stream, String(headers[":path"])));
      http.emit("connection", socket);
    },
  };
  const issue = async (csr: Uint8Array): Promise<Answer> => {
    if (service.refuseWith !== undefined) return service.refuseWith;
    const { spki } = await verifyCsr(csr);
    const leaf = await issueLeaf({
      id: subject,
      spki,
      ttlSeconds: 3600,
      now: new Date(),
      issuer: authority.intermediate,
    });
    const certificateChain = [leaf, authority.intermediate.certificate];
    const bundle = { ...authority.bundle, roots: [...authority.bundle.roots] };
    return { spiffeId: subject.uri, certificateChain, bundle, routers: [...routers], generation: (generation += 1) };
  };
  const onStream = async (stream: ServerHttp2Stream, path: string): Promise<void> => {
    const body: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) body.push(chunk);
    const message = Buffer.concat(body).subarray(5);
    const isRenewal = path.endsWith("/Renew");
    const request = isRenewal ? RenewRequest.decode(message) : EnrollRequest.decode(message);
    if (isRenewal) service.renewRequests.push(RenewRequest.decode(message));
    else service.enrollRequests.push(EnrollRequest.decode(message));
    const answer = await issue(request.csr);
    if (service.loseAnswers > 0) {
      service.loseAnswers -= 1;
      stream.session?.destroy();
      return;
    }
    reply(stream, answer);
  };
  return service;
}

function reply(stream: ServerHttp2Stream, answer: Answer): void {
  if ("code" in answer) {
    const value = ErrorDetail.encode(ErrorDetail.fromPartial({ code: answer.code })).finish();
    const details = [{ typeUrl: "type.googleapis.com/sallyport.errors.v1.ErrorDetail", value: Buffer.from(value) }];
    const status = Status.encode({ code: answer.status ?? 9, message: answer.message, details }).finish();
    stream.respond(
      {
        ":status": 200,
        "content-type": "application/grpc",
        "grpc-status": String(answer.status ?? 9),
        "grpc-message": encodeURIComponent(answer.message),
        "grpc-status-details-bin": Buffer.from(status).toString("base64"),
      },
      { endStream: true },
    );
    return;
  }
  const message = EnrollResponse.encode(answer).finish();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(Buffer.concat([prefix, message]));
}
