export { AuditEmitter, type AuditEmitterOptions } from "./audit-emitter.ts";
export type { PublishBlock } from "./block-delivery.ts";
export { NO_PREVIOUS, blockHash, blockId, packBlock, signBlock } from "./block.ts";
export { AuditLogError, type AuditLogErrorCode } from "./errors.ts";
export type { EventInput } from "./event.ts";
export { MAX_BLOCK_AGE_MS, MAX_BLOCK_BYTES, MAX_BLOCK_EVENTS } from "./limits.ts";
export { merkleRoot } from "./merkle-root.ts";
export { redactArguments, redactText } from "./redact-arguments.ts";
export { type VerifiedBlock, verifyBlock } from "./verify-block.ts";
