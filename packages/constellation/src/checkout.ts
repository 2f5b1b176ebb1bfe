import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ServiceName } from "./roles.ts";

/** The checkout that this file is part of, with its slash: `src` and `dist` lie equally deep. */
export const checkoutDir: string = fileURLToPath(new URL("../../../", import.meta.url));

export interface Entry {
  readonly file: string;
  readonly nodeOptions: readonly string[];
}

/** How to start a service: its sources where they are, else what was built from them. */
export function serviceEntry(name: ServiceName): Entry {
  const source = join(checkoutDir, "services", name, "src/main.ts");
  if (existsSync(source))
    return { file: source, nodeOptions: ["--conditions=sallyport-source", "--disable-warning=ExperimentalWarning"] };
  return { file: join(checkoutDir, "services", name, "dist/main.js"), nodeOptions: [] };
}
