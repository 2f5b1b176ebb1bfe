import { runService } from "@sallyport/service";
import { tuneHeapForBuffers } from "@sallyport/tunnel";
import { readConfig } from "./config.ts";
import { start } from "./service.ts";

tuneHeapForBuffers();
await runService({ name: "router", readConfig, start });
