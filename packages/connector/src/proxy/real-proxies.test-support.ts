import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sallyport/testing";
import { Server as ProxyChainServer } from "proxy-chain";

/** A forward proxy of somebody else's making that lets `user` in by `password`, both with characters that a URL must encode. */
export interface RealProxy extends AsyncDisposable {
  /** `host:port`. */
  readonly address: string;
  /** Targets of CONNECT that it let through, as far as it tells. */
  readonly targets: readonly string[];
}

export const user = "agent@work";
export const password = "p/ss:w%rd ü";

export async function startProxyChain(): Promise<RealProxy> {
  const targets: string[] = [];
  const server = new ProxyChainServer({
    host: "127.0.0.1",
    port: 0,
    prepareRequestFunction: ({ username, password: given, hostname, port }) => {
      const isKnown = username === user && given === password;
      if (isKnown) targets.push(`${hostname}:${port}`);
      return { requestAuthentication: !isKnown };
    },
  });
  await server.listen();
  return {
    address: `127.0.0.1:${server.port}`,
    targets,
    [Symbol.asyncDispose]: () => server.close(true),
  };
}

const squid = "/usr/sbin/squid";

export const hasSquid: boolean = existsSync(squid);

/** What Debian's package installs, in a folder of its own. */
export async function startSquid(): Promise<RealProxy> {
  const folder = await mkdtemp(join(tmpdir(), "squid-test-"));
  // As root it becomes another user.
  await chmod(folder, 0o777);
  const port = await freePort();
  // What squid tells its helper is escaped but for a few characters, in either case of the digits.
  const escape = (part: string): string => encodeURIComponent(part).replace(/%(?:40|2F|3A)/g, decodeURIComponent);
  const login = `${escape(user)} ${escape(password)}`.toLowerCase();
  await writeFile(
    join(folder, "login.sh"),
    `while read -r given; do [ "$(printf %s "$given" | tr A-Z a-z)" = '${login}' ] && echo OK || echo ERR; done\n`,
  );
  await writeFile(
    join(folder, "squid.conf"),
    `http_port 127.0.0.1:${port}
pid_filename ${folder}/squid.pid
cache_log ${folder}/cache.log
access_log none
cache deny all
cache_mem 8 MB
coredump_dir ${folder}
pinger_enable off
visible_hostname squid.test
shutdown_lifetime 0 seconds
auth_param basic program /bin/sh ${folder}/login.sh
auth_param basic children 1
auth_param basic realm test
auth_param basic utf8 on
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
`,
  );
  const child = spawn(squid, ["-N", "-f", join(folder, "squid.conf")], { stdio: "ignore" });
  const ended = once(child, "exit");
  await untilListening(port, ended);
  return {
    address: `127.0.0.1:${port}`,
    targets: [],
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilListening(port: number, ended: Promise<unknown>): Promise<void> {
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await Promise.race([
      once(socket, "connect").then(() => true),
      new Promise<false>((resolve) => socket.once("error", () => resolve(false))),
    ]);
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("squid did not start");
}
