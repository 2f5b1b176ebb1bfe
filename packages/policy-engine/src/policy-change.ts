import type { DeniedSubject } from "./deny-index.ts";

/** What applying one envelope changed. */
export interface PolicyChange {
  /** Services whose decisions may differ now: new, replaced, removed, or no longer backed by the head. */
  readonly services: readonly string[];
  readonly denyListChanged: boolean;
  /** Who is denied from now on and was not before: whoever cuts needs to look at no one else. */
  readonly denied: readonly DeniedSubject[];
  readonly headAdvanced: boolean;
}

export const NO_CHANGE: PolicyChange = { services: [], denyListChanged: false, denied: [], headAdvanced: false };

export function isChange(change: PolicyChange): boolean {
  return change.services.length > 0 || change.denyListChanged || change.headAdvanced;
}
