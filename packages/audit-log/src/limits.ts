/** Caps of `audit.proto` and of the blocks. What the emitter cuts, the verifier refuses. */

/** Events in a block; a block closes when it holds so many. */
export const MAX_BLOCK_EVENTS = 500;
/** Age at which an open block closes, so that an event is on the bus a moment after it happened. */
export const MAX_BLOCK_AGE_MS = 200;
/** Encoded events in a block: the bus and the built-in streams carry messages of at most 1 MiB. */
export const MAX_BLOCK_BYTES = 786_432;
export const MAX_EVENT_BYTES = 65_536;
export const MAX_ARGUMENTS_BYTES = 4_096;
export const MAX_RESULT_PREVIEW_BYTES = 1_024;
/** Every other string of an event. */
export const MAX_TEXT_BYTES = 1_024;
export const MAX_RULE_IDS = 32;
export const MAX_ATTRIBUTES = 32;
/** A name and a value of `attributes`, and a rule id. */
export const MAX_ATTRIBUTE_BYTES = 256;
/** Latest `time_unix_ms` that a record may name: 2200-01-01T00:00:00Z, inside the range of every store. */
export const MAX_TIME_UNIX_MS = 7_258_118_400_000;
/**
 * How far an event's time may lie ahead of the time at which its block arrived. Beyond, it would stand before everybody else's events in a
 * search for the newest; an emitter whose clock is wrong by more has no valid SVID either.
 */
export const MAX_CLOCK_AHEAD_MS = 600_000;
export const EPOCH_PATTERN: RegExp = /^[0-9a-f]{32}$/;
