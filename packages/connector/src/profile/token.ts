import { ConnectorError } from "../errors.ts";

/** What an enrollment token tells its holder: `spt1.<base64url JSON>.<secret>`. */
export interface EnrollmentToken {
  readonly trustDomain: string;
  /** SHA-256 of the root's DER, lower-case hexadecimal: whom to believe before there is a bundle. */
  readonly rootFingerprint: string;
  /** `host:port` of routers, through which enrollment is reached. */
  readonly routers: readonly string[];
  readonly tokenId: string;
  readonly secret: string;
}

const maxTokenChars = 8_192;

/** Throws TOKEN_MALFORMED, without a word of the token in the message. */
export function parseToken(token: string): EnrollmentToken {
  const [version, facts, secret, ...rest] = token.trim().split(".");
  if (token.length > maxTokenChars || version !== "spt1" || !facts || !secret || rest.length > 0) throw malformed();
  const { td, root, routers, id } = parseFacts(facts);
  if (typeof td !== "string" || typeof root !== "string" || typeof id !== "string") throw malformed();
  if (!Array.isArray(routers) || routers.length === 0 || !routers.every(isAddress)) throw malformed();
  if (!/^[0-9a-f]{64}$/.test(root)) throw malformed();
  return { trustDomain: td, rootFingerprint: root, routers, tokenId: id, secret };
}

/** `host:port`, the host of an IPv6 address in brackets. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new ConnectorError({ code: "TARGET_INVALID", message: `"${address}" is not host:port.` });
  }
  return { host, port };
}

function isAddress(value: unknown): value is string {
  if (typeof value !== "string") return false;
  try {
    splitAddress(value);
    return true;
  } catch {
    return false;
  }
}

function parseFacts(facts: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(facts, "base64url").toString("utf8"));
    if (typeof value === "object" && value !== null) return { ...value };
  } catch {
    throw malformed();
  }
  throw malformed();
}

function malformed(): ConnectorError {
  return new ConnectorError({
    code: "TOKEN_MALFORMED",
    message: "This is not an enrollment token of this version, or it was cut off when it was copied.",
    remedy: "Copy the whole token (spt1.….…), or ask an administrator for a new one.",
  });
}
