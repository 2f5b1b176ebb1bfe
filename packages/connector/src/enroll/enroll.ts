import { createCsr } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { EnrollServiceService, type EnrollResponse } from "@sallyport/proto/enrollment";
import { proxyOf, userFolders } from "../config.ts";
import { ConnectorError } from "../errors.ts";
import { profilePaths, type BaseFolders } from "../profile/profile-paths.ts";
import { discardKey, prepareKey, saveProfile } from "../profile/profile-store.ts";
import type { Profile } from "../profile/profile.ts";
import { parseToken, type EnrollmentToken } from "../profile/token.ts";
import { carrierTo, type ChooseProxy } from "../proxy/choose-proxy.ts";
import { callUnary, RpcRefusal } from "./grpc-unary.ts";
import { takeAnswer } from "./take-answer.ts";

export interface EnrollOptions {
  readonly token: string;
  /** What to call the identity on this machine. */
  readonly profile: string;
  /** Default: the user's XDG folders. */
  readonly folders?: BaseFolders;
  /** As in ConnectorOptions. */
  readonly proxy?: string | null;
  readonly signal?: AbortSignal;
}

const alpn = "sallyport-enroll/1";
const attemptTimeoutMs = 15_000;

/**
 * Redeems a one-time token: a new key, its certificate, and a profile on disk.
 * The key is on disk before the token is spent, so that a repetition after a lost answer, or a refusal that may pass, succeeds with the same key.
 * Throws TOKEN_MALFORMED, ENROLLMENT_REFUSED, PROXY_INVALID, PROXY_AUTH_REQUIRED, ROUTER_UNREACHABLE.
 */
export async function enroll(options: EnrollOptions): Promise<Profile> {
  const token = parseToken(options.token);
  const folders = options.folders ?? userFolders();
  const paths = profilePaths(folders, options.profile);
  const privateKey = await prepareKey(paths);
  const csr = await createCsr(privateKey);
  let answer: EnrollResponse;
  try {
    answer = await redeem(token, csr, proxyOf(options.proxy), options.signal);
  } catch (error) {
    if (error instanceof ConnectorError && error.cause instanceof RpcRefusal && error.cause.isFinal)
      await discardKey(paths);
    throw error;
  }
  const { svid, bundle } = takeAnswer(answer, privateKey, token.trustDomain);
  const routers = answer.routers.length > 0 ? answer.routers : token.routers;
  const profile: Profile = {
    name: options.profile,
    folders,
    paths,
    routers,
    generation: answer.generation,
    svid,
    bundle,
  };
  await saveProfile(profile);
  return profile;
}

async function redeem(
  token: EnrollmentToken,
  csr: Buffer,
  proxy: ChooseProxy,
  signal: AbortSignal | undefined,
): Promise<EnrollResponse> {
  let unreachable: unknown;
  for (const router of token.routers) {
    const timeout = AbortSignal.timeout(attemptTimeoutMs);
    const stops = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    try {
      const { socket } = await connectMtls({
        carrier: await carrierTo(router, proxy, stops),
        identity: null,
        trust: { rootFingerprint: token.rootFingerprint, trustDomain: token.trustDomain },
        alpn,
        expect: (identity) => identity.kind === "service" && identity.name === "enrollment",
        signal: stops,
      });
      const evidence = { $case: "token", value: { tokenId: token.tokenId, secret: token.secret } } as const;
      return await callUnary(socket, EnrollServiceService.enroll, { csr, evidence }, stops);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof RpcRefusal && error.rpcCode !== "") throw refused(error);
      if (error instanceof ConnectorError && error.code === "PROXY_AUTH_REQUIRED") throw error;
      unreachable = error;
    }
  }
  throw new ConnectorError({
    code: "ROUTER_UNREACHABLE",
    message: `No router of the token could be used (${token.routers.join(", ")}): ${unreachable instanceof Error ? unreachable.message : "no answer"}`,
    remedy:
      "Check that the network is up and that this machine may open outbound connections to one of them; the token is still good.",
    cause: unreachable,
  });
}

function refused(error: RpcRefusal): ConnectorError {
  return new ConnectorError({
    code: "ENROLLMENT_REFUSED",
    message: error.message,
    remedy: error.remedy ?? "Ask an administrator for a new token.",
    cause: error,
  });
}
