import { sha256Hex } from "@sallyport/identity";
import { z } from "zod";
import type { Issuance } from "../domain/issuance.ts";

/** `previous` of the first entry. */
export const noPrevious: string = "0".repeat(64);

const hex = /^[0-9a-f]+$/;
const recorded = z.strictObject({
  sequence: z.int().positive(),
  previous: z.string().length(64).regex(hex),
  timeUnixMs: z.int(),
  spiffeId: z.string(),
  serial: z.string().regex(hex),
  notBeforeUnixMs: z.int(),
  notAfterUnixMs: z.int(),
  certificateSha256: z.string(),
  spkiSha256: z.string(),
  issuerSha256: z.string(),
  requestedBy: z.string(),
  requestId: z.string(),
});

export interface IssuanceLine {
  readonly issuance: Issuance;
  /** Checksum of the line before. */
  readonly previous: string;
  readonly checksum: string;
}

/** `<SHA-256 of the JSON, hexadecimal> <JSON>\n`; the JSON names the checksum before it, so that no line can be taken out unnoticed. */
export function encodeLine(issuance: Issuance, previous: string): { readonly text: string; readonly checksum: string } {
  const json = JSON.stringify({ ...issuance, previous });
  const checksum = sha256Hex(Buffer.from(json));
  return { text: `${checksum} ${json}\n`, checksum };
}

/** The content of a line without its newline; null when it is not whole. */
export function decodeLine(line: string): IssuanceLine | null {
  const checksum = line.slice(0, 64);
  const json = line.slice(65);
  if (line[64] !== " " || sha256Hex(Buffer.from(json)) !== checksum) return null;
  const parsed = recorded.safeParse(JSON.parse(json));
  if (!parsed.success) return null;
  const { previous, ...issuance } = parsed.data;
  return { issuance, previous, checksum };
}
