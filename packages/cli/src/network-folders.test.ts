import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { networkFolders } from "./network-folders.ts";

test("the state of this user's network is nothing for a hosted server to see", async () => {
  const state = await mkdtemp(join(tmpdir(), "network-folders-test-"));
  expect(await networkFolders({ env: { SALLYPORT_STATE: state } })).toEqual([state]);
  await rm(state, { recursive: true });
  expect(await networkFolders({ env: { SALLYPORT_STATE: state } })).toEqual([]);
});
