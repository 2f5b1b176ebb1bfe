/**
 * JSON that every parser reads alike, or none.
 *
 * Policy judges a copy while the server parses the original bytes with a parser of its own, so that anything two parsers may read
 * differently is refused (RFC 8259, section 4, leaves duplicate names open; Go's encoding/json matches names without regard to case):
 * 1. UTF-8 without error and without a byte order mark.
 * 2. No object has two names that are equal, or equal but for case, after escapes are resolved.
 * 3. No lone surrogates.
 * 4. Nesting at most `maxDepth`.
 * 5. No carriage return but one before the final line feed: a reader with universal newlines (Python's text streams) ends a line at each, and
 *    would take an object that stands alone between two of them for a message.
 * 6. A NUL in a name ends it for rule 2, as it does for a parser with C strings.
 */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

export type JsonPath = readonly (string | number)[];
export interface Span {
  readonly path: JsonPath;
  /** Offsets into `text`, end exclusive. */
  readonly start: number;
  readonly end: number;
}

export interface StrictJson {
  readonly kind: "value";
  readonly text: string;
  readonly value: JsonValue;
  /** The original text of every value down to `spanDepth` names, those inside arrays excepted. */
  readonly spans: readonly Span[];
}

export type StrictJsonFault =
  | "NOT_UTF8"
  | "NOT_JSON"
  | "CARRIAGE_RETURN"
  | "DUPLICATE_NAME"
  | "LONE_SURROGATE"
  | "TOO_DEEP";
export interface NotStrictJson {
  readonly kind: "fault";
  readonly fault: StrictJsonFault;
  /** What plain JSON.parse made of it, only to address the refusal; never to judge by. */
  readonly value: JsonValue | undefined;
}

const maxDepth = 64;
const spanDepth = 2;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function parseStrictJson(bytes: Uint8Array): StrictJson | NotStrictJson {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return { kind: "fault", fault: "NOT_UTF8", value: undefined };
  }
  let value: JsonValue;
  try {
    value = parse(text);
  } catch {
    return { kind: "fault", fault: "NOT_JSON", value: undefined };
  }
  if (/\r(?!\n?$)/.test(text)) return { kind: "fault", fault: "CARRIAGE_RETURN", value };
  const scan = new Scan(text, 0, "names");
  const fault = scan.run();
  return fault === undefined ? { kind: "value", text, value, spans: scan.spans } : { kind: "fault", fault, value };
}

/** Equal for names that a case-insensitive parser takes for one, also U+017F (long s) and U+212A (Kelvin sign), or one that stops at a NUL. */
export function foldCase(name: string): string {
  const [shown = ""] = name.split("\0", 1);
  return shown.toUpperCase().toLowerCase();
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The original text of the value at `path`; undefined where there is none. */
export function sourceOf(json: StrictJson, path: JsonPath): string | undefined {
  const span = spanOf(json, path);
  return span === undefined ? undefined : json.text.slice(span.start, span.end);
}

export function spanOf(json: StrictJson, path: JsonPath): Span | undefined {
  return json.spans.find((span) => span.path.length === path.length && span.path.every((step, i) => step === path[i]));
}

/** The original text of each element of the array at `path`; none where there is no array. Costs one walk over the array. */
export function elementsOf(json: StrictJson, path: JsonPath): readonly string[] {
  const span = spanOf(json, path);
  if (span === undefined) return [];
  const scan = new Scan(json.text, span.start, "indices");
  scan.run();
  return scan.spans.map(({ start, end }) => json.text.slice(start, end));
}

function parse(text: string): JsonValue {
  const value: JsonValue = JSON.parse(text);
  return value;
}

/** Walks text that JSON.parse accepted: the grammar is known to hold, only names, depth and positions are looked at. */
class Scan {
  readonly spans: Span[] = [];
  readonly #text: string;
  readonly #of: "names" | "indices";
  readonly #path: (string | number)[] = [];
  #at: number;

  /** @param of which values to remember: those under names, `spanDepth` deep, or the elements of the array at `at` */
  constructor(text: string, at: number, of: "names" | "indices") {
    this.#text = text;
    this.#at = at;
    this.#of = of;
  }

  run(): StrictJsonFault | undefined {
    return this.#value();
  }

  #value(): StrictJsonFault | undefined {
    this.#space();
    const start = this.#at;
    const fault = this.#body();
    if (fault !== undefined) return fault;
    if (this.#isRemembered()) this.spans.push({ path: [...this.#path], start, end: this.#at });
    this.#space();
    return undefined;
  }

  /** Few of what a sender may write: an array of millions costs no object per element. */
  #isRemembered(): boolean {
    const { length } = this.#path;
    if (this.#of === "indices") return length === 1;
    return length > 0 && length <= spanDepth && typeof this.#path[length - 1] === "string";
  }

  #body(): StrictJsonFault | undefined {
    const first = this.#text[this.#at];
    if (first === "{") return this.#object();
    if (first === "[") return this.#array();
    if (first === '"') return this.#string().isWellFormed() ? undefined : "LONE_SURROGATE";
    this.#literal();
    return undefined;
  }

  #object(): StrictJsonFault | undefined {
    if (this.#path.length >= maxDepth) return "TOO_DEEP";
    const seen = new Set<string>();
    this.#at += 1;
    this.#space();
    while (this.#text[this.#at] !== "}") {
      this.#space();
      const name = this.#string();
      if (!name.isWellFormed()) return "LONE_SURROGATE";
      const folded = foldCase(name);
      if (seen.has(folded)) return "DUPLICATE_NAME";
      seen.add(folded);
      this.#space();
      this.#at += 1; // ":"
      const fault = this.#member(name);
      if (fault !== undefined) return fault;
    }
    this.#at += 1;
    return undefined;
  }

  #array(): StrictJsonFault | undefined {
    if (this.#path.length >= maxDepth) return "TOO_DEEP";
    this.#at += 1;
    this.#space();
    for (let index = 0; this.#text[this.#at] !== "]"; index += 1) {
      const fault = this.#member(index);
      if (fault !== undefined) return fault;
    }
    this.#at += 1;
    return undefined;
  }

  #member(step: string | number): StrictJsonFault | undefined {
    this.#path.push(step);
    const fault = this.#value();
    this.#path.pop();
    if (this.#text[this.#at] === ",") this.#at += 1;
    return fault;
  }

  #string(): string {
    const start = this.#at;
    this.#at += 1;
    let escaped = false;
    while (this.#text[this.#at] !== '"') {
      if (this.#text[this.#at] === "\\") {
        escaped = true;
        this.#at += 1;
      }
      this.#at += 1;
    }
    this.#at += 1;
    const source = this.#text.slice(start, this.#at);
    if (!escaped) return source.slice(1, -1);
    const value = parse(source);
    return typeof value === "string" ? value : "";
  }

  #literal(): void {
    while (this.#at < this.#text.length && !",]} \t\r\n".includes(this.#text.charAt(this.#at))) this.#at += 1;
  }

  #space(): void {
    while (this.#at < this.#text.length && " \t\r\n".includes(this.#text.charAt(this.#at))) this.#at += 1;
  }
}
