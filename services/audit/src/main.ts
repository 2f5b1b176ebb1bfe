import { runService } from "@sallyport/service";
import { readAuditConfig } from "./config.ts";
import { startAudit } from "./service.ts";

await runService({ name: "audit", readConfig: readAuditConfig, start: startAudit });
