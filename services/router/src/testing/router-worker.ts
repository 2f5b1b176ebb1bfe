/** A router as a process of its own, for benchmarks, by `startWorker`: all of it but the bus. What it records is signed and then let go. */
import { join } from "node:path";
import { AuditEmitter } from "@sallyport/audit-log";
import { pemOf, routerId, workloadId } from "@sallyport/identity";
import { Service } from "@sallyport/proto/policy";
import {
  collectGarbage,
  createTestAuthority,
  serveWorker,
  type RouterWorkerApi,
  type TestAuthority,
} from "@sallyport/testing";
import { tuneHeapForBuffers } from "@sallyport/tunnel";
import { Router } from "../router.ts";
import { PolicyMirror } from "../store/policy-mirror.ts";
import { PolicyAuthor } from "./policy-author.ts";

tuneHeapForBuffers();

const nowhere = { host: "127.0.0.1", port: 1 };
const started: { authority?: TestAuthority; router?: Router } = {};

const api: RouterWorkerApi = {
  start: async ({ cedar, workloads, services, limits, folder }) => {
    const authority = await createTestAuthority();
    const author = await PolicyAuthor.create(authority);
    const mirror = new PolicyMirror({ bundle: () => authority.bundle });
    const identity = await authority.source(routerId(authority.trustDomain, "1"));
    const audit = await AuditEmitter.open({
      spoolDir: join(folder, "router-spool"),
      vantage: "router",
      identity,
      publish: async () => "stored",
    });
    const router = await Router.open({
      identity,
      listen: { host: "127.0.0.1", port: 0 },
      enrollAddress: nowhere,
      enrollmentAddress: nowhere,
      mirror,
      record: (event) => audit.record(event),
      publishBlock: async () => undefined,
      // Hosts of a load generator answer no probes; who measures those says so.
      limits: { probeEveryMs: 2 ** 30, ...limits },
    });
    const published = author.publish({
      cedarFiles: { "main.cedar": cedar },
      workloads: workloads.map((name) => ({ name, roles: [] })),
      services: services.map((name) => Service.create({ name, protocol: "tcp" })),
    });
    for (const envelope of published) mirror.apply(envelope);
    started.authority = authority;
    started.router = router;
    return `${router.address.host}:${router.address.port}`;
  },
  issue: async ({ name, instance }) => {
    const { authority } = running();
    const { trustDomain, bundle } = authority;
    const svid = await authority.issue(workloadId(trustDomain, name, instance));
    const privateKey = String(svid.privateKey.export({ type: "pkcs8", format: "pem" }));
    return { chain: pemOf(svid.certificateChain), privateKey, roots: pemOf(bundle.roots), trustDomain };
  },
  circuits: () => running().router.switchboard.circuits.size,
  collect: collectGarbage,
};

function running(): { readonly authority: TestAuthority; readonly router: Router } {
  const { authority, router } = started;
  if (authority === undefined || router === undefined) throw new Error("`start` comes first.");
  return { authority, router };
}

serveWorker(api);
