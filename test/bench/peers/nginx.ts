import { writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@sallyport/testing";
import type { CertificateFiles } from "./certificate-files.ts";
import { findProgram, startProgram, type PeerProcess } from "./debian-program.ts";

/** Debian builds the stream module as a file of its own. */
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";

/**
 * nginx as a relay from TLS to TLS, with client certificates on both sides and one worker: the program that a router is held against.
 * Null, said loudly, when it is not on this machine. The upstream's certificate is not verified, which makes nginx cheaper and concerns the handshake only.
 */
export async function startNginx(files: CertificateFiles, targetPort: number): Promise<PeerProcess | null> {
  const program = findProgram("nginx");
  if (program === null) return null;
  const port = await freePort();
  const configuration = join(files.folder, "nginx.conf");
  await writeFile(
    configuration,
    `
${existsSync(streamModule) ? `load_module ${streamModule};` : ""}
daemon off;
worker_processes 1;
pid ${files.folder}/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
stream {
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate ${files.chain};
    ssl_certificate_key ${files.privateKey};
    ssl_client_certificate ${files.roots};
    ssl_verify_client on;
    ssl_verify_depth 3;
    proxy_pass 127.0.0.1:${targetPort};
    proxy_ssl on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_certificate ${files.chain};
    proxy_ssl_certificate_key ${files.privateKey};
  }
}
`,
  );
  return await startProgram("nginx", program, ["-p", files.folder, "-e", "stderr", "-c", configuration], port);
}
