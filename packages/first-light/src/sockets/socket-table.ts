import { readFile } from "node:fs/promises";

const tables = ["tcp", "tcp6", "udp", "udp6"] as const;

export interface SocketEntry {
  readonly protocol: (typeof tables)[number];
  /** `127.0.0.1:4222`, `[::]:80`. */
  readonly address: string;
  readonly inode: string;
  /** TCP: in state LISTEN. UDP: bound and not connected, so that anybody's datagram is taken. */
  readonly listens: boolean;
}

const tcpListen = "0A";
const udpUnconnected = "07";

/**
 * All internet sockets of the network namespace that a process is in (proc(5), `/proc/pid/net/tcp` and its siblings).
 * Throws where a table cannot be read: a table that nobody looked at proves nothing. IPv6 alone may be absent.
 */
export async function socketTable(pid: number): Promise<readonly SocketEntry[]> {
  const ipv6 = await readFile(`/proc/${pid}/net/if_inet6`, "utf8").then(
    () => true,
    () => false,
  );
  const present = tables.filter((table) => ipv6 || !table.endsWith("6"));
  const texts = await Promise.all(present.map((table) => readFile(`/proc/${pid}/net/${table}`, "utf8")));
  return present.flatMap((protocol, index) => parseTable(protocol, texts[index] ?? ""));
}

export function parseTable(protocol: SocketEntry["protocol"], text: string): readonly SocketEntry[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (local === undefined || inode === undefined) return [];
      const listens = state === (protocol.startsWith("tcp") ? tcpListen : udpUnconnected);
      return [{ protocol, address: readAddress(local), inode, listens }];
    });
}

/** The kernel prints an address as 32-bit words in the machine's own byte order, little-endian on ours. */
function readAddress(hex: string): string {
  const [words = "", port = ""] = hex.split(":");
  const bytes = (words.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, "hex").reverse()]);
  if (bytes.length === 4) return `${bytes.join(".")}:${Number.parseInt(port, 16)}`;
  const groups = Buffer.from(bytes).toString("hex").match(/.{4}/g) ?? [];
  return `[${groups.join(":")}]:${Number.parseInt(port, 16)}`;
}
