import { readFileSync } from "node:fs";

/** The Cedar schema of policies, in Cedar's own syntax. */
export const SCHEMA: string = readFileSync(new URL("../schema/sallyport.cedarschema", import.meta.url), "utf8");
