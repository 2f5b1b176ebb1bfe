export { forgeSvid } from "./forge-svid.ts";
export type { Forgery } from "./forge-svid.ts";
export { freePort } from "./free-port.ts";
export { createTestAuthority } from "./test-authority.ts";
export type { IssueOptions, TestAuthority } from "./test-authority.ts";
export { natsServer } from "./nats-server.ts";
export type { TestNatsServer } from "./nats-server.ts";
