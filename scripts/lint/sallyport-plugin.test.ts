import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../setup/stamp.js";

const run = promisify(execFile);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(root, "scripts/lint/planted-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** What the repository's own configuration says of a source text. */
async function lint(source: string): Promise<string> {
  const file = join(folder, "planted.ts");
  await writeFile(file, source);
  return await run(join(root, "node_modules/.bin/oxlint"), ["--no-ignore", file], { cwd: root }).then(
    () => "",
    (failed: { stdout: string }) => failed.stdout,
  );
}

test.each([
  `import { TLSSocket } from "node:tls"; export const s = new TLSSocket(c, { isServer: true });`,
  `import * as t from "tls"; export const s = new t.TLSSocket(c, { "isServer": true });`,
  `const options = { isServer: Boolean(1) }; export const s = options;`,
  `import { createServer } from "node:tls"; export const s = createServer({});`,
  `import tls from "node:tls"; export const s = new tls.Server({});`,
  `import { Server as Gate } from "node:tls"; export const s = new Gate({});`,
  `import * as https from "node:https"; export const s = https.createServer({});`,
  `import { createSecureServer } from "node:http2"; export const s = createSecureServer({});`,
])("a server end of TLS outside packages/mtls is an error: %s", async (source) => {
  expect(await lint(source)).toContain("A server end of TLS is made only in packages/mtls");
});

test.each([
  `import { connect } from "node:tls"; export const s = connect({ port: 1 });`,
  `import { createServer } from "node:net"; export const s = createServer();`,
  `import { createServer } from "node:http2"; export const s = createServer();`,
])("a client end of TLS and a plain server are not: %s", async (source) => {
  expect(await lint(source)).toBe("");
});

test("a switched-off rule without a reason is an error", async () => {
  expect(await lint(`// oxlint-disable-next-line no-debugger\ndebugger;\n`)).toContain("Say after `--` why");
  expect(await lint(`// oxlint-disable-next-line no-debugger -- planted\ndebugger;\n`)).toBe("");
});

test("the environment is read only in main.ts and config.ts", async () => {
  const file = join(root, "packages/frame/src/planted-environment.ts");
  await writeFile(file, `export const home: string | undefined = process.env["HOME"];\n`);
  try {
    const failed = await run(join(root, "node_modules/.bin/oxlint"), [file], { cwd: root }).catch((e: unknown) => e);
    expect(failed).toHaveProperty("stdout", expect.stringContaining("no-process-env"));
  } finally {
    await rm(file);
  }
});
