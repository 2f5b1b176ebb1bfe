import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "@sallyport/testing";
import type { CertificateFiles } from "./certificate-files.ts";
import { findProgram, startProgram, type PeerProcess } from "./debian-program.ts";

/**
 * One stunnel: `client` takes plain connections and carries them to `targetPort` in TLS, `server` the reverse. Client certificates are shown and required.
 * Null, said loudly, when it is not on this machine.
 */
export async function startStunnel(
  files: CertificateFiles,
  role: "client" | "server",
  targetPort: number,
): Promise<PeerProcess | null> {
  const program = findProgram("stunnel4");
  if (program === null) return null;
  const port = await freePort();
  const configuration = join(files.folder, `stunnel-${role}-${port}.conf`);
  await writeFile(
    configuration,
    `
foreground = yes
pid =
syslog = no
debug = err
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[relay]
client = ${role === "client" ? "yes" : "no"}
accept = 127.0.0.1:${port}
connect = 127.0.0.1:${targetPort}
sslVersionMin = TLSv1.3
cert = ${files.chain}
key = ${files.privateKey}
CAfile = ${files.roots}
verifyChain = yes
`,
  );
  return await startProgram(`stunnel ${role}`, program, [configuration], port);
}
