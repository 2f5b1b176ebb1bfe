export { connectMtls } from "./client.ts";
export type { ConnectOptions, PinnedRoot } from "./client.ts";
export { MtlsError } from "./errors.ts";
export type { MtlsErrorCode } from "./errors.ts";
export type { Peer } from "./peer.ts";
export { hybridGroup } from "./secure-context.ts";
export { createMtlsServer } from "./server.ts";
export type { Accepted, MtlsServer, MtlsServerOptions } from "./server.ts";
