import { cutText } from "./cut-text.ts";
import { MAX_ARGUMENTS_BYTES, MAX_RESULT_PREVIEW_BYTES } from "./limits.ts";

const REDACTED = "[redacted]";
/** Nested deeper than this a value is not shown, so that a hostile argument costs a bounded walk. */
const MAX_DEPTH = 16;
/** Values shown of one arguments object; more cannot fit into 4,096 bytes. */
const MAX_VALUES = 4_096;

/** Names under which a value is a secret, whatever it looks like. */
const SECRET_NAME =
  /pass(word|wd|phrase|code)?s?$|^pwd$|secret|token$|api[-_]?key|access[-_]?key|private[-_]?key|^auth$|authorization|cookie|credential|bearer|^otp$|^pin$/i;

/** Where an object says by one entry what another one holds: `{ "name": "X-Api-Key", "value": "…" }`. */
const NAMING_ENTRIES = ["name", "key", "header", "field", "parameter"];
const NAMED_ENTRY = /^(value|values|val|content|default)$/i;
const MAX_NAME_CHARACTERS = 128;

/** A secret's name, what joins it to its value, and the value: in shell words, environment files, queries, headers, JSON inside a text. */
const NAMED_IN_TEXT: readonly RegExp[] = [
  /((?:authorization|cookie)\\*["']?\s{0,8}[:=]\s{0,8}\\*["']?)(?:(?<=["'])[^\r\n"'\\]+|[^\r\n]+)/gi,
  /((?:pass(?:word|wd|phrase|code)|[-_]pass|\bpass|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential)s?\\*["']?(?:\s{0,8}[:=]\s{0,8}|(?<=\s--?\S{1,64})\s{1,8}))(?:\\*"[^"\\]*|\\*'[^'\\]*|[^\s"'&,;\\}\])]+)/gi,
];

/** Texts that are secrets, whatever their name: the forms that common issuers give them. */
const SECRET_TEXTS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\bspt1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g,
  /\b(sk|pk|rk)[-_][A-Za-z0-9_-]{16,}/g,
  /\b(ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs])[-_][A-Za-z0-9_-]{10,}/g,
  /\bA(KIA|SIA)[A-Z0-9]{16}\b/g,
  /\b(Bearer|Basic)\s+[A-Za-z0-9+/._~-]{8,}=*/gi,
  /(?<=:\/\/[^\s/:@]{0,128}:)[^\s/@]{1,128}(?=@)/g,
];

/**
 * A call's arguments as JSON for `Event.arguments_json`: values under secret names and texts in the form of secrets are replaced,
 * the whole is cut at 4,096 bytes. Never throws: what cannot be shown is described.
 */
export function redactArguments(value: unknown): string {
  const budget = { values: MAX_VALUES };
  return cutText(JSON.stringify(redacted(value, 0, budget)) ?? "", MAX_ARGUMENTS_BYTES);
}

/** A text for `Event.result_preview`: secrets replaced, cut at 1,024 bytes. */
export function redactText(text: string): string {
  return cutText(withoutSecrets(text.slice(0, MAX_RESULT_PREVIEW_BYTES * 4)), MAX_RESULT_PREVIEW_BYTES);
}

function redacted(value: unknown, depth: number, budget: { values: number }): unknown {
  budget.values -= 1;
  if (budget.values < 0) return "[more]";
  if (typeof value === "string") return withoutSecrets(value.slice(0, MAX_ARGUMENTS_BYTES + 1));
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "[deeper]";
  if (Array.isArray(value)) return redactedArray(value.slice(0, MAX_VALUES), depth, budget);
  const isPair = NAMING_ENTRIES.some((name) => namesSecret(Reflect.get(value, name)));
  const entries: [string, unknown][] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (budget.values < 0) break;
    const isSecret = SECRET_NAME.test(name) || (isPair && NAMED_ENTRY.test(name));
    entries.push([cutText(name, 256), isSecret ? REDACTED : redacted(entry, depth + 1, budget)]);
  }
  return Object.fromEntries(entries);
}

/** Words of a command line and headers as pairs: what follows a secret's name is the secret. */
function redactedArray(values: readonly unknown[], depth: number, budget: { values: number }): unknown[] {
  return values.map((entry, index) =>
    namesSecret(values[index - 1]) && typeof entry === "string" ? REDACTED : redacted(entry, depth + 1, budget),
  );
}

function namesSecret(name: unknown): boolean {
  return (
    typeof name === "string" && name.length <= MAX_NAME_CHARACTERS && /^[-\w.]+$/.test(name) && SECRET_NAME.test(name)
  );
}

function withoutSecrets(text: string): string {
  let shown = text;
  for (const secret of SECRET_TEXTS) shown = shown.replace(secret, REDACTED);
  for (const named of NAMED_IN_TEXT) shown = shown.replace(named, `$1${REDACTED}`);
  return shown;
}
