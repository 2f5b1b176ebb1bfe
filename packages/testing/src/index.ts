export { freePort } from "./free-port.ts";
export { createTestAuthority } from "./test-authority.ts";
export type { IssueOptions, TestAuthority } from "./test-authority.ts";
