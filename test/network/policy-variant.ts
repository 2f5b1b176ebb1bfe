import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Stage } from "@sallyport/first-light";
import { storyFolder } from "./test-stage.ts";

export interface PolicyVariant {
  /** Cedar text put beside the story's files. */
  readonly add?: string;
  /** Annotated ids of rules that are left out, by the file that they are in. */
  readonly without?: Readonly<Record<string, string>>;
}

/** Puts the story's policy in force with a change: what a careless author might have applied. */
export async function applyPolicyVariant(
  stage: Stage,
  folder: string,
  { add = "", without = {} }: PolicyVariant,
): Promise<void> {
  const copy = await mkdtemp(join(folder, "policy-"));
  await cp(join(storyFolder, "policy"), copy, { recursive: true });
  if (add !== "") await writeFile(join(copy, "variant.cedar"), add);
  for (const [file, id] of Object.entries(without)) {
    const text = await readFile(join(copy, file), "utf8");
    const rule = new RegExp(`@id\\("${id}"\\)[^;]*;`);
    if (!rule.test(text)) throw new Error(`${file} has no rule ${id}`);
    await writeFile(join(copy, file), text.replace(rule, ""));
  }
  await stage.sallyport.succeed(["policy", "apply", copy]);
  await rm(copy, { recursive: true });
}
