import type { DenyEntry, DenyList, Subject } from "@sallyport/proto/policy";

export type SubjectKind = NonNullable<Subject["kind"]>;

/** Before anything was ever revoked. */
export const EMPTY_DENY_LIST: DenyList = { version: 1, entries: [] };

/** The list with the entry at its end; the same list when the subject is on it already. */
export function withEntry(list: DenyList, subject: SubjectKind, reason: string, sinceUnixMs: number): DenyList {
  if (list.entries.some((entry) => names(entry, subject))) return list;
  return { version: list.version + 1, entries: [...list.entries, { subject: { kind: subject }, reason, sinceUnixMs }] };
}

/** The list without the subject's entry; the same list when it is not on it. Entries that name it in another way stay. */
export function withoutEntry(list: DenyList, subject: SubjectKind): DenyList {
  const entries = list.entries.filter((entry) => !names(entry, subject));
  return entries.length === list.entries.length ? list : { version: list.version + 1, entries };
}

function names({ subject }: DenyEntry, { $case, value }: SubjectKind): boolean {
  return subject?.kind?.$case === $case && subject.kind.value === value;
}
