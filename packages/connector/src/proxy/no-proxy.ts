import { BlockList, isIP } from "node:net";

/**
 * NO_PROXY as curl and Go read it: names, each with all below it; addresses; networks (`10.0.0.0/8`); each with a port or without; `*` for
 * everything. Parted by commas or blanks.
 */
export function isExempt(noProxy: string, host: string, port: number): boolean {
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => matches(entry.toLowerCase(), host.toLowerCase(), port));
}

/** Go's rule: what is on this machine is never asked of a proxy that the environment names for all programs. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return (
    name === "localhost" || name.endsWith(".localhost") || (isIP(host) !== 0 && loopback.check(host, familyOf(host)))
  );
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function matches(entry: string, host: string, port: number): boolean {
  if (entry === "*") return true;
  const { name, entryPort } = splitPort(entry);
  if (entryPort !== undefined && entryPort !== port) return false;
  if (name.includes("/")) return isInNetwork(name, host);
  if (isIP(name) !== 0 || isIP(host) !== 0) return name === host;
  const suffix = name.replace(/^\*?\./, "");
  return host === suffix || host.endsWith(`.${suffix}`);
}

function splitPort(entry: string): { readonly name: string; readonly entryPort: number | undefined } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(entry);
  const plain = /^([^:]+)(?::(\d+))?$/.exec(entry);
  const [, name = entry, port] = bracketed ?? plain ?? [];
  return { name, entryPort: port === undefined ? undefined : Number(port) };
}

function isInNetwork(network: string, host: string): boolean {
  const [address = "", bits = ""] = network.split("/");
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128))
    return false;
  const list = new BlockList();
  list.addSubnet(address, Number(bits), familyOf(address));
  return list.check(host, familyOf(host));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}
