import { runService } from "@sallyport/service";
import { certificateAuthority } from "./service.ts";

await runService(certificateAuthority());
