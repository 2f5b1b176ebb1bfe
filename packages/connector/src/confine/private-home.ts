import { chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** HOME and TMPDIR of one confined process, empty at its start and gone after its end. */
export interface PrivateHome extends AsyncDisposable {
  readonly path: string;
}

export async function createPrivateHome(service: string, owner: number | undefined): Promise<PrivateHome> {
  const path = await mkdtemp(join(tmpdir(), `sallyport-${service}-`));
  const temporary = join(path, "tmp");
  await mkdir(temporary, { mode: 0o700 });
  if (owner !== undefined) {
    await chown(temporary, owner, owner);
    await chown(path, owner, owner);
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}
