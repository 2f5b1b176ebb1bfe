/** Cedar files of one document (policy.proto). */
export const MAX_CEDAR_FILES = 64;
/** UTF-8 bytes of one Cedar file (policy.proto). */
export const MAX_CEDAR_FILE_BYTES = 65_536;
/** Cedar evaluates a slice in time linear in its rules, on the path of each dial and call. */
export const MAX_RULES = 2_000;
export const MAX_WORKLOADS = 10_000;
export const MAX_SERVICES = 1_000;
export const MAX_ROLES_PER_WORKLOAD = 64;
export const MAX_DESCRIPTION_CHARACTERS = 512;
/** Encoded bytes of a document, a slice or a deny-list: with signature and framing it stays below one message of 1 MiB. */
export const MAX_PAYLOAD_BYTES = 786_432;
/** Characters of a tool's name in a decision. */
export const MAX_TOOL_NAME_CHARACTERS = 256;
