/** The CA as a process, without a bus, killed while it issues. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  createCsr,
  createRoot,
  generateKeyPair,
  pemOf,
  RotatingSvid,
  routerId,
  sealPrivateKey,
} from "@sallyport/identity";
import { CertificateAuthorityServiceService, type IssueSvidResponse } from "@sallyport/proto/ca";
import { grpcChannel, serviceClient } from "@sallyport/service";
import { createTestAuthority, forgeSvid, freePort } from "@sallyport/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

const owned = new AsyncDisposableStack();
const main = fileURLToPath(new URL("main.ts", import.meta.url));
let stateDir: string;
let port: number;
let issue: () => Promise<IssueSvidResponse>;

beforeAll(async () => {
  const trusted = await createTestAuthority("a.org");
  const bootstrap = await createRoot({
    trustDomain: "a.org",
    commonName: "bootstrap",
    ttlDays: 10,
    now: new Date(),
    pathLength: 0,
  });
  stateDir = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  owned.defer(() => rm(stateDir, { recursive: true, force: true }));
  const kek = randomBytes(32);
  const files = {
    "root.pem": pemOf([trusted.root.certificate]),
    "intermediate.pem": pemOf([trusted.intermediate.certificate]),
    "intermediate-key.pem": sealPrivateKey(trusted.intermediate.privateKey, kek),
    "bootstrap-roots.pem": pemOf([bootstrap.certificate]),
    kek: kek.toString("base64"),
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(stateDir, name), content);
  port = await freePort();
  const credential = forgeSvid(bootstrap, { uris: [routerId("a.org", "r1").uri], chain: [] });
  const channel = owned.use(
    grpcChannel({
      address: `127.0.0.1:${port}`,
      identity: new RotatingSvid(credential, trusted.bundle),
      expect: (peer) => peer.kind === "service" && peer.name === "ca",
    }),
  );
  const client = serviceClient(channel, CertificateAuthorityServiceService);
  const csr = await createCsr(generateKeyPair().privateKey);
  issue = () => client.issueServiceSvid({ csr, bus: false }, { timeoutMs: 2_000 });
});

afterAll(() => owned.disposeAsync());

async function startCa(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["--conditions=source", main], {
    stdio: "ignore",
    env: {
      SALLYPORT_TRUST_DOMAIN: "a.org",
      SALLYPORT_STATE_DIR: stateDir,
      SALLYPORT_KEY_ENCRYPTION_KEY_FILE: join(stateDir, "kek"),
      SALLYPORT_BOOTSTRAP_DIR: join(stateDir, "unused-by-the-ca"),
      SALLYPORT_GRPC_LISTEN: `127.0.0.1:${port}`,
      SALLYPORT_CA_ADDRESS: `127.0.0.1:${port}`,
      // Nobody listens there.
      SALLYPORT_NATS_URL: `tls://127.0.0.1:${await freePort()}`,
    },
  });
  owned.defer(() => void child.kill("SIGKILL"));
  await expect
    .poll(
      () =>
        issue().then(
          () => "issues",
          () => "not yet",
        ),
      { timeout: 25_000, interval: 100 },
    )
    .toBe("issues");
  return child;
}

test(
  "every certificate that left before a SIGKILL is in the log, and the next process goes on from there",
  { timeout: 60_000 },
  async () => {
    const child = await startCa();
    const left: string[] = [];
    const asking = Array.from({ length: 8 }, async () => {
      for (;;) left.push((await issue()).serial);
    });
    await expect.poll(() => left.length, { timeout: 10_000 }).toBeGreaterThan(40);
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await Promise.all([gone, ...asking.map((asked) => expect(asked).rejects.toThrow())]);
    const written = await readFile(join(stateDir, "issuance.log"), "utf8");
    for (const serial of left) expect(written).toContain(`"serial":"${serial}"`);

    const next = await startCa();
    const { serial } = await issue();
    const lines = (await readFile(join(stateDir, "issuance.log"), "utf8")).trimEnd().split("\n");
    expect(lines.at(-1)).toContain(`"serial":"${serial}"`);
    expect(lines.map((line) => JSON.parse(line.slice(65)).sequence)).toEqual(lines.map((_, index) => index + 1));
    const ended = once(next, "exit");
    next.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  },
);
