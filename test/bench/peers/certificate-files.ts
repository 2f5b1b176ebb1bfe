import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** An identity as other programs take it: PEM. */
export interface PemIdentity {
  readonly chain: string;
  readonly privateKey: string;
  readonly roots: string;
}

/** The same in files, in a folder that only this user can read; gone when disposed. */
export interface CertificateFiles extends AsyncDisposable {
  readonly folder: string;
  readonly roots: string;
  /** Leaf and intermediates. */
  readonly chain: string;
  readonly privateKey: string;
  /** Chain and key in one, as HAProxy wants it. */
  readonly combined: string;
}

export async function certificateFiles({ chain, privateKey, roots }: PemIdentity): Promise<CertificateFiles> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-"));
  const file = async (name: string, pem: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, pem, { mode: 0o600 });
    return path;
  };
  return {
    folder,
    roots: await file("roots.pem", roots),
    chain: await file("chain.pem", chain),
    privateKey: await file("key.pem", privateKey),
    combined: await file("combined.pem", `${chain}\n${privateKey}`),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
