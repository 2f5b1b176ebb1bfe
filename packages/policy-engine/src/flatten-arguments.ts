/** The arguments of one call as the tags that policies read (schema/sallyport.cedarschema). */
export type FlattenedArguments =
  | { readonly kind: "flat"; readonly strings: Record<string, string>; readonly numbers: Record<string, number> }
  /** Too much, or not expressible without hiding something from policy: the call is denied. */
  | { readonly kind: "refused"; readonly reason: string };

/** Objects and arrays inside one another; the arguments object itself is level 1. */
export const MAX_ARGUMENT_DEPTH = 16;
/** Values and members, counted together. */
export const MAX_ARGUMENT_NODES = 2_048;
/** Characters of all paths and strings together. */
export const MAX_ARGUMENT_CHARACTERS = 1_048_576;
/** Characters of one tag's name. */
export const MAX_ARGUMENT_PATH_CHARACTERS = 512;

const TOO_MANY = `the arguments have more than ${MAX_ARGUMENT_NODES} values`;

/** Absent arguments are an empty object, as in MCP. Anything else that is not an object is refused. */
export function flattenArguments(value: unknown): FlattenedArguments {
  if (value !== undefined && !isPlainObject(value))
    return { kind: "refused", reason: "the arguments are not an object" };
  const flattening = new Flattening();
  const reason = flattening.add(null, value ?? {}, 1);
  if (reason !== null) return { kind: "refused", reason };
  // fromEntries defines own properties, also for a key such as __proto__.
  return {
    kind: "flat",
    strings: Object.fromEntries(flattening.strings),
    numbers: Object.fromEntries(flattening.numbers),
  };
}

class Flattening {
  readonly strings = new Map<string, string>();
  readonly numbers = new Map<string, number>();
  #nodes = 0;
  #characters = 0;

  /** Null, or why the arguments cannot be judged. The path of the whole is null, which is not the path of a member named "". */
  add(path: string | null, value: unknown, depth: number): string | null {
    if (++this.#nodes > MAX_ARGUMENT_NODES) return TOO_MANY;
    if (path !== null && path.length > MAX_ARGUMENT_PATH_CHARACTERS)
      return `the name of an argument is longer than ${MAX_ARGUMENT_PATH_CHARACTERS} characters`;
    if (Array.isArray(value)) return this.#addMembers(path, value.length, value.entries(), depth);
    if (isPlainObject(value)) return this.#addMembers(path, Object.keys(value).length, Object.entries(value), depth);
    return this.#addScalar(path ?? "", value);
  }

  #addMembers(
    path: string | null,
    count: number,
    members: Iterable<readonly [string | number, unknown]>,
    depth: number,
  ): string | null {
    if (depth > MAX_ARGUMENT_DEPTH) return `the arguments are nested deeper than ${MAX_ARGUMENT_DEPTH}`;
    if (this.#nodes + count > MAX_ARGUMENT_NODES) return TOO_MANY;
    this.numbers.set(join(path, "#"), count);
    for (const [key, member] of members) {
      if (typeof key === "string" && !key.isWellFormed()) return "the name of an argument is not valid Unicode";
      const reason = this.add(join(path, typeof key === "string" ? escapeKey(key) : String(key)), member, depth + 1);
      if (reason !== null) return reason;
    }
    return null;
  }

  #addScalar(path: string, value: unknown): string | null {
    const text = scalarText(value);
    if (text === null) return "the arguments hold a value that JSON does not have";
    if (!text.isWellFormed()) return "an argument is not valid Unicode";
    this.#characters += path.length + text.length;
    if (this.#characters > MAX_ARGUMENT_CHARACTERS)
      return `the arguments have more than ${MAX_ARGUMENT_CHARACTERS} characters`;
    this.strings.set(path, text);
    if (typeof value === "number" && Number.isSafeInteger(value)) this.numbers.set(path, value === 0 ? 0 : value);
    return null;
  }
}

function scalarText(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : null;
  if (typeof value === "boolean" || value === null) return String(value);
  return null;
}

function join(path: string | null, key: string): string {
  return path === null ? key : `${path}.${key}`;
}

/** Injective: no key can spell another argument's path or a member count. */
function escapeKey(key: string): string {
  return key.replace(/[\\.]|^#/g, "\\$&");
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
