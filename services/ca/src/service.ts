import { join } from "node:path";
import { identityOf, serviceId } from "@sallyport/identity";
import { CertificateAuthorityServiceService } from "@sallyport/proto/ca";
import { readKeyEncryptionKey, type GrpcServer, type ServiceDefinition } from "@sallyport/service";
import { readConfig, type CaConfig } from "./config.ts";
import { Authority } from "./domain/authority.ts";
import type { Issuance } from "./domain/issuance.ts";
import { svidIssued } from "./events.ts";
import { getStatus } from "./rpc/get-status.ts";
import { getTrustBundle } from "./rpc/get-trust-bundle.ts";
import { issueFor, issueServiceSvid } from "./rpc/issue-service-svid.ts";
import { issueWorkloadSvid } from "./rpc/issue-workload-svid.ts";
import { IssuanceLog } from "./store/issuance-log.ts";
import { loadSigningState } from "./store/signing-state.ts";

/** An authority and its log. */
interface Opened extends AsyncDisposable {
  readonly authority: Authority;
  /** Puts every issuance on record, also those from before there was an audit emitter: the CA's own first SVIDs. */
  record(to: (issuance: Issuance) => void): void;
}

export function certificateAuthority(): ServiceDefinition<CaConfig> {
  let opened: Opened | null = null;
  const running = (): Opened => {
    if (opened === null) throw new TypeError("unreachable: runService asks for the issuer first");
    return opened;
  };
  return {
    name: "ca",
    readConfig,
    issuer: async ({ config, log }) => {
      opened = await open(config, (bytes) =>
        log.warn({ bytes }, "the issuance log had a torn tail, which was cut off"),
      );
      const { authority } = opened;
      const own = identityOf(serviceId(config.trustDomain, "ca", config.instance));
      return (request) => issueFor(authority, own, request);
    },
    grpc: () => ({ bootstrapRoots: () => running().authority.bootstrapRoots }),
    start: async ({ audit, grpc }) => {
      const own = running();
      own.record((issuance) => audit.record(svidIssued(issuance)));
      addCertificateAuthority(grpc, own.authority);
      return own;
    },
  };
}

/** The gRPC face, with who may call what. */
export function addCertificateAuthority(grpc: GrpcServer, authority: Authority): void {
  grpc.add(
    CertificateAuthorityServiceService,
    {
      issueWorkloadSvid: issueWorkloadSvid(authority),
      issueServiceSvid: issueServiceSvid(authority),
      getTrustBundle: getTrustBundle(authority),
      getStatus: getStatus(authority),
    },
    {
      issueWorkloadSvid: { service: "enrollment" },
      issueServiceSvid: "bootstrap",
      getTrustBundle: "any-or-bootstrap",
      getStatus: "admin",
    },
  );
}

async function open(config: CaConfig, onTorn: (bytes: number) => void): Promise<Opened> {
  const keyEncryptionKey = await readKeyEncryptionKey(config.keyEncryptionKeyFile);
  const state = await loadSigningState({
    stateDir: config.stateDir,
    trustDomain: config.trustDomain,
    keyEncryptionKey,
  });
  const log = await IssuanceLog.open(join(config.stateDir, "issuance.log"), { onTorn });
  const authority = new Authority(state, log, { defaultTtlSeconds: config.svidTtlSeconds });
  const early: Issuance[] = [];
  const stopKeeping = authority.onIssued((issuance) => early.push(issuance));
  return {
    authority,
    record: (to) => {
      stopKeeping();
      early.splice(0).forEach(to);
      authority.onIssued(to);
    },
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}
