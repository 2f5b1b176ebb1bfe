import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { derOf, openPrivateKey, readCertificate, spkiOf, type Issuer } from "@sallyport/identity";
import type { SigningState } from "../domain/authority.ts";
import { CaError } from "../errors.ts";

/**
 * Reads root.pem, intermediate.pem, intermediate-key.pem (sealed) and bootstrap-roots.pem.
 * @throws {CaError} STATE_INVALID
 */
export async function loadSigningState(options: {
  readonly stateDir: string;
  readonly trustDomain: string;
  readonly keyEncryptionKey: Buffer;
}): Promise<SigningState> {
  const { stateDir, trustDomain, keyEncryptionKey } = options;
  const read = (name: string): Promise<string> => readFile(join(stateDir, name), "utf8");
  try {
    const root = one(derOf(await read("root.pem")));
    const certificate = one(derOf(await read("intermediate.pem")));
    const intermediate: Issuer = {
      certificate,
      privateKey: openPrivateKey(await read("intermediate-key.pem"), keyEncryptionKey),
    };
    checkIntermediate(intermediate, root);
    return {
      root,
      intermediate,
      bootstrapRoots: derOf(await read("bootstrap-roots.pem")),
      bundle: { trustDomain, roots: [root], sequence: 1 },
    };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "a file cannot be read";
    throw new CaError("STATE_INVALID", `The CA's state in ${stateDir} is not usable: ${why}`, {
      cause,
      remedy:
        "Restore root.pem, intermediate.pem, intermediate-key.pem and bootstrap-roots.pem, and the key encryption key that sealed the second but last.",
    });
  }
}

function checkIntermediate(intermediate: Issuer, root: Buffer): void {
  const certificate = new X509Certificate(intermediate.certificate);
  if (!certificate.verify(new X509Certificate(root).publicKey))
    throw new CaError("STATE_INVALID", "the root did not sign the intermediate.");
  if (!spkiOf(intermediate.privateKey).equals(readCertificate(intermediate.certificate).spki)) {
    throw new CaError("STATE_INVALID", "the intermediate's key is another one.");
  }
}

function one(certificates: readonly Buffer[]): Buffer {
  const [certificate, ...others] = certificates;
  if (certificate === undefined || others.length > 0)
    throw new CaError("STATE_INVALID", "a file must hold exactly one certificate.");
  return certificate;
}
