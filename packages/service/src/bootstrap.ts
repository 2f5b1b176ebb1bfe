import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSvid, derOf, openPrivateKey, RotatingSvid, trustBundle, type SvidSource } from "@sallyport/identity";
import { ServiceError } from "./service-error.ts";

const KEY_ENCRYPTION_KEY_BYTES = 32;

/** The key that seals private keys at rest: a file outside the state folder. @throws ServiceError BOOTSTRAP_INVALID */
export async function readKeyEncryptionKey(path: string): Promise<Buffer> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new ServiceError({
      code: "BOOTSTRAP_INVALID",
      message: `the key encryption key ${path} cannot be read`,
      remedy:
        "Restore the file; without it the keys in the state folder are lost, and the network has to be made anew.",
      cause,
    });
  });
  const key = Buffer.from(text.trim(), "base64");
  if (key.length === KEY_ENCRYPTION_KEY_BYTES) return key;
  throw new ServiceError({
    code: "BOOTSTRAP_INVALID",
    message: `the key encryption key ${path} is not ${KEY_ENCRYPTION_KEY_BYTES} bytes in base64`,
    remedy: "Restore the file from where it was kept.",
  });
}

/**
 * The bootstrap credential of one of our processes: a long-lived certificate of the bootstrap CA with the process's own SPIFFE ID,
 * good for nothing but asking the CA for an SVID. With it a network that was off for a week comes back by itself.
 *
 * @param options.dir holds certificate.pem, private-key.pem (sealed) and roots.pem, the roots by which the CA is recognized.
 * @throws ServiceError BOOTSTRAP_INVALID
 */
export async function loadBootstrap(options: {
  readonly dir: string;
  readonly trustDomain: string;
  readonly keyEncryptionKey: Buffer;
}): Promise<SvidSource> {
  const { dir, trustDomain, keyEncryptionKey } = options;
  try {
    const [certificate, key, roots] = await Promise.all(
      ["certificate.pem", "private-key.pem", "roots.pem"].map((name) => readFile(join(dir, name), "utf8")),
    );
    if (certificate === undefined || key === undefined || roots === undefined)
      throw new TypeError("unreachable: three files were read");
    const svid = createSvid(derOf(certificate), openPrivateKey(key, keyEncryptionKey));
    return new RotatingSvid(svid, trustBundle({ trustDomain, roots: derOf(roots), sequence: 0 }));
  } catch (cause) {
    throw new ServiceError({
      code: "BOOTSTRAP_INVALID",
      message: `the bootstrap credential in ${dir} is not usable`,
      remedy: "It must hold certificate.pem, private-key.pem sealed under the key encryption key, and roots.pem.",
      cause,
    });
  }
}
