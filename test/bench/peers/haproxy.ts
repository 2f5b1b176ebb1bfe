import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "@sallyport/testing";
import type { CertificateFiles } from "./certificate-files.ts";
import { findProgram, startProgram, type PeerProcess } from "./debian-program.ts";

/** HAProxy as a relay from TLS to TLS, with client certificates on both sides and one thread. Null, said loudly, when it is not on this machine. */
export async function startHaproxy(files: CertificateFiles, targetPort: number): Promise<PeerProcess | null> {
  const program = findProgram("haproxy");
  if (program === null) return null;
  const port = await freePort();
  const configuration = join(files.folder, "haproxy.cfg");
  await writeFile(
    configuration,
    `
global
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen relay
  bind 127.0.0.1:${port} ssl crt ${files.combined} ca-file ${files.roots} verify required
  server target 127.0.0.1:${targetPort} ssl crt ${files.combined} ca-file ${files.roots} verify required
`,
  );
  return await startProgram("haproxy", program, ["-db", "-f", configuration], port);
}
