/** Every method of every service, called by every kind of peer on a real network. */
import {
  createSvid,
  generateKeyPair,
  RotatingSvid,
  spkiOf,
  trustBundle,
  workloadId,
  type SvidSource,
} from "@sallyport/identity";
import {
  holderBootstrap,
  holderId,
  startNetwork,
  type HolderName,
  type Network,
  type ServiceName,
} from "@sallyport/constellation";
import { AuditServiceService } from "@sallyport/proto/audit";
import { CertificateAuthorityServiceService } from "@sallyport/proto/ca";
import { EnrollmentServiceService } from "@sallyport/proto/enrollment";
import { PolicyServiceService } from "@sallyport/proto/policy";
import { RouterServiceService } from "@sallyport/proto/router";
import {
  callStream,
  callUnary,
  grpcChannel,
  remoteIssuer,
  requestSvid,
  RpcError,
  type GrpcChannel,
  type Method,
} from "@sallyport/service";
import { afterAll, beforeAll, expect, test } from "vitest";
import { grpcAddress } from "../network/grpc-address.ts";
import { temporaryHome, type TemporaryHome } from "../network/temporary-home.ts";

const trustDomain = "sallyport.local";

/** Who may call what, as proto/ says it. What is not named here is refused. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  "ca.issueWorkloadSvid": ["enrollment"],
  "ca.issueServiceSvid": ["bootstrap"],
  "ca.getTrustBundle": ["admin", "audit", "bootstrap", "ca", "enrollment", "policy", "router", "workload"],
  "ca.getStatus": ["admin"],
  "enrollment.createToken": ["admin"],
  "enrollment.listTokens": ["admin"],
  "enrollment.renew": ["workload"],
  "policy.applyPolicy": ["admin"],
  "policy.getPolicy": ["admin"],
  "policy.revoke": ["admin"],
  "policy.reinstate": ["admin"],
  "policy.getHead": ["admin", "audit", "ca", "enrollment", "policy", "router", "workload"],
  "router.getStatus": ["admin"],
  "router.listTunnels": ["admin"],
  "router.listHosts": ["admin"],
  "router.listCircuits": ["admin"],
  "router.listLinks": ["admin"],
  "router.getFigures": ["admin"],
  "router.watch": ["admin"],
  "router.kick": ["admin"],
  "router.drain": ["admin"],
  "audit.search": ["admin"],
  "audit.tail": ["admin"],
  "audit.getStatus": ["admin"],
};

const services: Readonly<Record<ServiceName, Readonly<Record<string, unknown>>>> = {
  ca: CertificateAuthorityServiceService,
  enrollment: EnrollmentServiceService,
  policy: PolicyServiceService,
  router: RouterServiceService,
  audit: AuditServiceService,
};

let home: TemporaryHome;
let network: Network;
const callers = new Map<string, SvidSource>();

beforeAll(async () => {
  home = await temporaryHome();
  network = await startNetwork({ stateDir: home.stateDir, keyDir: home.keyDir, env: home.env });
  for (const holder of ["admin", "audit", "ca", "enrollment", "policy", "router"] as const)
    callers.set(holder, await svidOf(holder));
  callers.set("bootstrap", await holderBootstrap(home.stateDir, "enrollment"));
  callers.set("workload", await workloadSvid());
});

afterAll(async () => {
  await network?.stop();
  await home[Symbol.asyncDispose]();
});

async function svidOf(holder: HolderName): Promise<SvidSource> {
  const bootstrap = await holderBootstrap(home.stateDir, holder);
  using issue = remoteIssuer({ caAddress: grpcAddress(network.admin.network, "ca"), bootstrap });
  const expectUri = holderId(holder, trustDomain).uri;
  const { svid, bundle } = await requestSvid(issue, { bus: false, expectUri, signal: AbortSignal.timeout(10_000) });
  return new RotatingSvid(svid, bundle);
}

/** As enrollment gets one: by enrollment's own SVID. */
async function workloadSvid(): Promise<SvidSource> {
  using channel = channelTo("ca", "enrollment");
  const { privateKey } = generateKeyPair();
  const { certificateChain, bundle } = await callUnary(channel, CertificateAuthorityServiceService.issueWorkloadSvid, {
    spiffeId: workloadId(trustDomain, "agent", "1").uri,
    publicKeySpki: spkiOf(privateKey),
    ttlSeconds: 0,
    requestId: "test",
  });
  if (bundle === undefined) throw new Error("no bundle");
  return new RotatingSvid(createSvid(certificateChain, privateKey), trustBundle(bundle));
}

function channelTo(service: ServiceName, caller: string): GrpcChannel {
  const identity = callers.get(caller);
  if (identity === undefined) throw new Error(`no caller ${caller}`);
  return grpcChannel({
    address: grpcAddress(network.admin.network, service),
    identity,
    expect: ({ id }) => id.uri === holderId(service, trustDomain).uri,
  });
}

/** Whether the call got past the caller rule. The request is empty, so that nothing happens where it did. */
async function getsThrough(channel: GrpcChannel, method: Method<unknown, unknown>): Promise<boolean> {
  // Empty bytes are a request with every field at its default.
  const empty = method.requestDeserialize(Buffer.alloc(0));
  try {
    if (method.responseStream) {
      for await (const _message of callStream(channel, method, empty, { timeoutMs: 700 })) return true;
      return true;
    }
    await callUnary(channel, method, empty, { timeoutMs: 5_000 });
    return true;
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    // A stream that was let in and has nothing to say meets its deadline; a bootstrap peer does not get a connection outside the CA.
    if (error.code === "DEADLINE_EXCEEDED") return method.responseStream;
    return error.code !== "CALLER_NOT_ALLOWED" && error.code !== "UNAVAILABLE";
  }
}

test("every method lets exactly its callers in", async () => {
  const seen: Record<string, readonly string[]> = {};
  for (const [service, methods] of Object.entries(services) as [
    ServiceName,
    Readonly<Record<string, Method<unknown, unknown>>>,
  ][]) {
    for (const caller of [...callers.keys()].toSorted()) {
      using channel = channelTo(service, caller);
      for (const [name, method] of Object.entries(methods)) {
        const key = `${service}.${name}`;
        seen[key] ??= [];
        if (await getsThrough(channel, method)) seen[key] = [...seen[key], caller];
      }
    }
  }
  expect(seen).toEqual(allowed);
});
