import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNetwork } from "./index.ts";
import { readPolicyFolder } from "../../policy-engine/src/index.ts";
const dir = await mkdtemp(join(tmpdir(), "h4-net-"));
const t0 = performance.now();
const network = await startNetwork({ env: process.env, stateDir: join(dir, "state"), keyDir: join(dir, "keys"), onProgress: (p: unknown) => console.log((performance.now() - t0).toFixed(0), JSON.stringify(p)) } as never);
try {
  const document = await readPolicyFolder("/work/main/packages/first-light/policy");
  const timed = async (name: string, f: () => Promise<unknown>) => { const t = performance.now(); const r = await f().catch((e: unknown) => e); console.log(name, (performance.now() - t).toFixed(1), "ms", JSON.stringify(r)?.slice(0, 200) ?? String(r)); };
  await timed("apply", () => network.admin.policy.applyPolicy({ document, expectedVersion: 0, dryRun: false }));
  await timed("apply again", () => network.admin.policy.applyPolicy({ document, expectedVersion: 0, dryRun: false }));
  for (let i = 0; i < 5; i++) await timed("revoke", () => network.admin.policy.revoke({ subject: { kind: { $case: "serial", value: "aa0" + i } }, reason: "x" }));
  await timed("apply fewer", () => network.admin.policy.applyPolicy({ document: { ...document, services: document.services.slice(0, 1) }, expectedVersion: 0, dryRun: false }));
  await timed("router", () => network.admin.router.getStatus({}));
  await timed("audit", () => network.admin.audit.search({ filter: { kind: "policy.applied", actorName: "", service: "", tool: "", decision: "", decisionId: "", circuitId: "", vantage: "", sinceUnixMs: 0, untilUnixMs: 0, text: "" }, limit: 10 }));
} finally { await network.stop(); await rm(dir, { recursive: true, force: true }); }
