import { status } from "@grpc/grpc-js";
import { CertificateAuthorityServiceService } from "@sallyport/proto/ca";
import { callUnary, RpcError, type GrpcChannel } from "@sallyport/service";
import type { Certifier } from "../domain/ports.ts";

const timeoutMs = 5000;

/** The CA over gRPC. Sees a SPIFFE ID and a public key, never a token or a request's names. */
export function caCertifier(ca: GrpcChannel): Certifier {
  return {
    certify: async ({ id, spki, requestId }) => {
      const request = { spiffeId: id.uri, publicKeySpki: Buffer.from(spki), ttlSeconds: 0, requestId };
      try {
        const answer = await callUnary(ca, CertificateAuthorityServiceService.issueWorkloadSvid, request, {
          timeoutMs,
        });
        return answer.certificateChain;
      } catch (cause) {
        throw new RpcError({
          code: "CA_UNAVAILABLE",
          status: status.UNAVAILABLE,
          message: "The CA did not issue a certificate.",
          remedy: "Try again in a moment; the token is not used up.",
          cause,
        });
      }
    },
  };
}
