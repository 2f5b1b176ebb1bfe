import { join } from "node:path";
import { openStage, type Stage, type StageOptions } from "@sallyport/first-light";
import { type TemporaryHome, temporaryHome } from "./temporary-home.ts";

export const checkout: string = join(import.meta.dirname, "../..");
export const storyFolder: string = join(checkout, "packages/first-light");
const sharedFolder: string = join(storyFolder, "folder");
export const launcher: string = join(checkout, "packages/cli/bin/sallyport.js");

export interface TestStage extends AsyncDisposable {
  readonly home: TemporaryHome;
  readonly stage: Stage;
}

/** A whole constellation with the story's policy, hosts and agents, on free ports and in folders of its own, or those of `home`. */
export async function openTestStage({
  home: given,
  ...overrides
}: Partial<StageOptions> & { readonly home?: TemporaryHome } = {}): Promise<TestStage> {
  await using opening = new AsyncDisposableStack();
  const home = given ?? opening.use(await temporaryHome());
  const stage = opening.use(
    await openStage({
      stateDir: home.stateDir,
      keyDir: home.keyDir,
      env: home.env,
      launcher,
      policyFolder: join(storyFolder, "policy"),
      sharedFolder,
      ...overrides,
    }),
  );
  const open = opening.move();
  return { home, stage, [Symbol.asyncDispose]: () => open.disposeAsync() };
}
