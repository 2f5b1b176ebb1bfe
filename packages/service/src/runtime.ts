import type { AuditEmitter } from "@sallyport/audit-log";
import type { RotatingSvid } from "@sallyport/identity";
import type { Bus } from "./bus.ts";
import type { ServiceConfig } from "./config.ts";
import type { GrpcServer } from "./grpc-server.ts";
import type { Logger } from "./logger.ts";
import type { Readiness } from "./readiness.ts";

export type ServiceName = "ca" | "enrollment" | "policy" | "router" | "audit";

/** What `runService` makes for a service and takes down after it. */
export interface Runtime<C extends ServiceConfig> {
  readonly config: C;
  readonly log: Logger;
  /** The own SVID, renewed at half its life. */
  readonly identity: RotatingSvid;
  /** Connects in the background: it may not be there yet, and may go away. */
  readonly bus: Bus;
  readonly audit: AuditEmitter;
  readonly readiness: Readiness;
  /** Listens once `start` has returned, or at the first call of `listen`. */
  readonly grpc: GrpcServer;
  /** Aborted when the process is to stop. */
  readonly signal: AbortSignal;
}
