import {
  createCsr,
  createSvid,
  generateKeyPair,
  trustBundle,
  type Svid,
  type SvidSource,
  type TrustBundle,
} from "@sallyport/identity";
import {
  CertificateAuthorityServiceService,
  type IssueServiceSvidRequest,
  type IssueSvidResponse,
} from "@sallyport/proto/ca";
import { callUnary, grpcChannel, type CallOptions } from "./grpc-channel.ts";
import { ServiceError } from "./service-error.ts";

/** Whoever signs: the CA over gRPC, or, inside the CA itself, its own issuing. */
export type SvidIssuer = (request: IssueServiceSvidRequest, options: CallOptions) => Promise<IssueSvidResponse>;

export interface IssuedSvid {
  readonly svid: Svid;
  readonly bundle: TrustBundle;
}

/** Asks the CA by the bootstrap credential. */
export function remoteIssuer(options: {
  readonly caAddress: string;
  readonly bootstrap: SvidSource;
}): SvidIssuer & Disposable {
  const channel = grpcChannel({
    address: options.caAddress,
    identity: options.bootstrap,
    expect: (identity) => identity.kind === "service" && identity.name === "ca",
  });
  const issue: SvidIssuer = (request, callOptions) =>
    callUnary(channel, CertificateAuthorityServiceService.issueServiceSvid, request, callOptions);
  return Object.assign(issue, { [Symbol.dispose]: () => channel[Symbol.dispose]() });
}

/**
 * A fresh key and its SVID. The key is made here and never leaves the process.
 * @param options.expectUri the SPIFFE ID that the answer must carry.
 * @throws ServiceError CA_ANSWER_INVALID, RpcError
 */
export async function requestSvid(
  issue: SvidIssuer,
  options: { readonly bus: boolean; readonly expectUri: string; readonly signal: AbortSignal },
): Promise<IssuedSvid> {
  const { privateKey } = generateKeyPair();
  const csr = await createCsr(privateKey);
  const answer = await issue({ csr, bus: options.bus }, { signal: options.signal, timeoutMs: 5_000 });
  const svid = createSvid(answer.certificateChain, privateKey);
  if (svid.identity.id.uri !== options.expectUri)
    throw invalid(`it certified ${svid.identity.id.uri}, not ${options.expectUri}`);
  if (answer.bundle === undefined) throw invalid("it holds no trust bundle");
  const bundle = trustBundle(answer.bundle);
  if (bundle.trustDomain !== svid.identity.id.trustDomain) throw invalid(`its bundle is of ${bundle.trustDomain}`);
  return { svid, bundle };
}

function invalid(why: string): ServiceError {
  return new ServiceError({ code: "CA_ANSWER_INVALID", message: `the CA's answer is not usable: ${why}` });
}
