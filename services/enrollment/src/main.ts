import { runService } from "@sallyport/service";
import { enrollmentService } from "./service.ts";

await runService(enrollmentService);
