/**
 * Through which proxy routers are reached.
 *
 * 1. What the caller says counts, for every router.
 * 2. Then `SALLYPORT_PROXY`: a proxy for every router, or `none`.
 * 3. Then `HTTPS_PROXY` (or `https_proxy`), but for what `NO_PROXY` (or `no_proxy`) exempts, and for this machine itself.
 */
import type { Duplex } from "node:stream";
import { splitAddress } from "../profile/token.ts";
import { connectThrough } from "./connect-through.ts";
import { HttpProxy } from "./http-proxy.ts";
import { isExempt, isLoopback } from "./no-proxy.ts";

/** The proxy for a router; undefined: directly. */
export type ChooseProxy = (host: string, port: number) => HttpProxy | undefined;

export type Environment = Readonly<Record<string, string | undefined>>;

/** @param told a URL; null: no proxy; undefined: what the environment says. Throws PROXY_INVALID. */
export function chooseProxy(told: string | null | undefined, env: Environment): ChooseProxy {
  if (told !== undefined) return always(told === null ? undefined : HttpProxy.parse(told, "The proxy that was given")); // 1
  const own = env["SALLYPORT_PROXY"] ?? "";
  if (own !== "") return always(own === "none" ? undefined : HttpProxy.parse(own, "SALLYPORT_PROXY")); // 2
  const general = env["https_proxy"] || env["HTTPS_PROXY"] || "";
  if (general === "") return always(undefined);
  const proxy = HttpProxy.parse(general, "HTTPS_PROXY");
  const noProxy = env["no_proxy"] || env["NO_PROXY"] || "";
  return (host, port) => (isLoopback(host) || isExempt(noProxy, host, port) ? undefined : proxy); // 3
}

/** What `connectMtls` is to connect over: the address, or a connection through its proxy. */
export async function carrierTo(
  address: string,
  choose: ChooseProxy,
  signal: AbortSignal,
): Promise<{ readonly host: string; readonly port: number } | Duplex> {
  const { host, port } = splitAddress(address);
  const proxy = choose(host, port);
  return proxy === undefined ? { host, port } : await connectThrough(proxy, address, signal);
}

function always(proxy: HttpProxy | undefined): ChooseProxy {
  return () => proxy;
}
