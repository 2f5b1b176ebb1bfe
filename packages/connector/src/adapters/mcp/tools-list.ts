import { elementsOf, isObject, spanOf, type JsonValue, type StrictJson } from "./strict-json.ts";

export interface FilteredList {
  readonly line: Buffer;
  readonly shown: readonly string[];
  readonly hidden: number;
}

/** In one answer: each name costs a decision, and a server could write hundreds of thousands into a line. A longer list comes in pages. */
const maxTools = 2_048;

/**
 * The answer to tools/list with what this caller may not see left out. What stays keeps its original text, and the whole line its original
 * bytes when nothing had to change. Undefined for an answer that is no list of tools.
 */
export function filterToolsList(
  json: StrictJson,
  original: Buffer,
  visible: (names: readonly string[]) => ReadonlySet<string>,
): FilteredList | undefined {
  const result = isObject(json.value) ? json.value["result"] : undefined;
  const tools = isObject(result) ? result["tools"] : undefined;
  const span = spanOf(json, ["result", "tools"]);
  if (!isObject(result) || !isArray(tools) || span === undefined || tools.length > maxTools) return undefined;
  const names = tools.map(nameOf);
  const seen = visible(names.filter((name) => name !== undefined));
  const isShown = (name: string | undefined): name is string => name !== undefined && seen.has(name);
  const shown = names.filter(isShown);
  const hidden = names.length - shown.length;
  // An answer that differs per caller must not be kept by a shared cache (2026-07-28, caching).
  const isPublic = result["cacheScope"] === "public";
  if (hidden === 0 && !isPublic) return { line: original, shown, hidden };

  const kept = elementsOf(json, ["result", "tools"]).filter((_, index) => isShown(names[index]));
  const edits = [{ ...span, text: `[${kept.join(",")}]` }];
  const scope = spanOf(json, ["result", "cacheScope"]);
  if (isPublic && scope !== undefined) edits.push({ ...scope, text: '"private"' });
  return { line: Buffer.from(edited(json.text, edits)), shown, hidden };
}

function edited(
  text: string,
  edits: readonly { readonly start: number; readonly end: number; readonly text: string }[],
): string {
  return edits
    .toSorted((a, b) => b.start - a.start)
    .reduce((now, edit) => now.slice(0, edit.start) + edit.text + now.slice(edit.end), text);
}

function nameOf(tool: JsonValue): string | undefined {
  const name = isObject(tool) ? tool["name"] : undefined;
  return typeof name === "string" ? name : undefined;
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}
