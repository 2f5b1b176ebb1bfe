import { runService } from "@sallyport/service";
import { readConfig } from "./config.ts";
import { start } from "./service.ts";

await runService({ name: "policy", readConfig, start });
