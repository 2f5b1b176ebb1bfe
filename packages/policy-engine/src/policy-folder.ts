import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { Stickiness, type PolicyDocument, type Service, type Workload } from "@sallyport/proto/policy";
import { MAX_CEDAR_FILE_BYTES, MAX_CEDAR_FILES, MAX_PAYLOAD_BYTES } from "./limits.ts";
import { PolicyError } from "./policy-error.ts";

const NAMES_FILE = "policy.json";

const stickinessByWord: ReadonlyMap<string, Stickiness> = new Map([
  ["none", Stickiness.STICKINESS_NONE],
  ["dialer", Stickiness.STICKINESS_DIALER],
]);

/**
 * Reads policy as code: every `*.cedar` file below `folder`, and `policy.json` with the workloads and services that they speak of.
 * Only shapes are checked here; compilePolicy says whether it means something.
 * @throws {PolicyError} FOLDER_INVALID, LIMIT_EXCEEDED
 */
export async function readPolicyFolder(folder: string): Promise<PolicyDocument> {
  const names = parseJson(await readText(join(folder, NAMES_FILE), MAX_PAYLOAD_BYTES));
  const top = new Shape(names, NAMES_FILE, ["workloads", "services"]);
  const cedarFiles: Record<string, string> = {};
  for (const name of await cedarFileNames(folder))
    cedarFiles[name] = await readText(join(folder, name), MAX_CEDAR_FILE_BYTES);
  return { cedarFiles, workloads: top.list("workloads").map(workload), services: top.list("services").map(service) };
}

function workload(value: unknown, index: number): Workload {
  const shape = new Shape(value, `workloads.${index}`, ["name", "roles", "description"]);
  shape.text("description", "");
  return { name: shape.text("name"), roles: shape.texts("roles") };
}

function service(value: unknown, index: number): Service {
  const shape = new Shape(value, `services.${index}`, ["name", "protocol", "description", "stickiness"]);
  const stickiness = shape.oneOf("stickiness", stickinessByWord, "none");
  return {
    name: shape.text("name"),
    protocol: shape.text("protocol"),
    description: shape.text("description", ""),
    stickiness,
  };
}

async function cedarFileNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".cedar"));
  if (files.length === 0) throw invalid(`${folder} has no .cedar file`);
  if (files.length > MAX_CEDAR_FILES)
    throw new PolicyError("LIMIT_EXCEEDED", `${folder} has ${files.length} .cedar files, more than ${MAX_CEDAR_FILES}`);
  return files.map((file) => relative(folder, join(file.parentPath, file.name)).split(sep).join("/")).toSorted();
}

async function readText(path: string, mostBytes: number): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > mostBytes) throw new PolicyError("LIMIT_EXCEEDED", `${path} has ${size} bytes, more than ${mostBytes}`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    if (cause instanceof PolicyError) throw cause;
    if (cause instanceof TypeError) throw new PolicyError("FOLDER_INVALID", `${path} is not UTF-8 text`, { cause });
    throw new PolicyError("FOLDER_INVALID", `${path} cannot be read`, {
      cause,
      remedy: `A policy folder holds ${NAMES_FILE} and at least one .cedar file.`,
    });
  }
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : "not JSON";
    const [, line, column] = /line (\d+) column (\d+)/.exec(message) ?? [];
    const position = line === undefined ? undefined : { file: NAMES_FILE, line: Number(line), column: Number(column) };
    throw new PolicyError("FOLDER_INVALID", `${NAMES_FILE} is not JSON: ${message}`, { position, cause });
  }
}

/** An object of policy.json, read member by member; one that we do not know is an error, since it would be a right that nobody checks. */
class Shape {
  readonly #members: ReadonlyMap<string, unknown>;
  readonly #where: string;

  constructor(value: unknown, where: string, known: readonly string[]) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw invalid(`${where} must be an object`, where);
    this.#members = new Map(Object.entries(value));
    this.#where = where;
    for (const key of this.#members.keys()) {
      if (!known.includes(key))
        throw invalid(`${where} has the unknown member ${JSON.stringify(key)}; known are ${known.join(", ")}`, where);
    }
  }

  text(key: string, absent?: string): string {
    const value = this.#members.get(key) ?? absent;
    if (typeof value !== "string") throw invalid(`${this.#where}.${key} must be a string`, `${this.#where}.${key}`);
    return value;
  }

  /** What a word stands for. */
  oneOf<T>(key: string, words: ReadonlyMap<string, T>, absent: string): T {
    const word = this.text(key, absent);
    const meant = words.get(word);
    if (meant === undefined) {
      const known = [...words.keys()].join(" or ");
      throw invalid(`${this.#where}.${key} is ${JSON.stringify(word)}; it must be ${known}`, `${this.#where}.${key}`);
    }
    return meant;
  }

  texts(key: string): string[] {
    return this.list(key).map((value, index) => {
      if (typeof value !== "string")
        throw invalid(`${this.#where}.${key}.${index} must be a string`, `${this.#where}.${key}`);
      return value;
    });
  }

  list(key: string): unknown[] {
    const value = this.#members.get(key) ?? [];
    if (!Array.isArray(value)) throw invalid(`${this.#where}.${key} must be a list`, `${this.#where}.${key}`);
    return [...value];
  }
}

function invalid(message: string, field?: string): PolicyError {
  if (field === undefined)
    return new PolicyError("FOLDER_INVALID", message, {
      remedy: `A policy folder holds ${NAMES_FILE} and at least one .cedar file.`,
    });
  const at = field.startsWith(NAMES_FILE) ? message : `${NAMES_FILE}: ${message}`;
  return new PolicyError("FOLDER_INVALID", at, {
    field,
    remedy: `Correct that in ${NAMES_FILE}; nothing was changed.`,
  });
}
