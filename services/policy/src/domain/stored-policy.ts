import { compilePolicy } from "@sallyport/policy-engine";
import { PolicyDocument, type Slice } from "@sallyport/proto/policy";

/** What a slice got when it last changed: the version, the deny-list that was in force, and its salt. */
export interface SliceMark {
  readonly version: number;
  readonly needsDenyList: number;
  readonly salt: Buffer;
}

/** The document in force, with what compiling it again cannot tell: the mark of each slice. */
export interface StoredPolicy {
  /** Grows by one with every change. 0: nothing was ever applied. */
  readonly version: number;
  readonly document: PolicyDocument;
  readonly marks: ReadonlyMap<string, SliceMark>;
}

export const NO_POLICY: StoredPolicy = {
  version: 0,
  document: { cedarFiles: {}, workloads: [], services: [] },
  marks: new Map(),
};

/** The slices to publish: the same on every replica. */
export function slicesOf({ document, marks, version }: StoredPolicy): ReadonlyMap<string, Slice> {
  const { slices } = compilePolicy(document, { slices: new Map(), version, denyListVersion: 0 });
  return new Map([...slices].map(([service, slice]) => [service, { ...slice, ...marks.get(service) }]));
}

/**
 * The policy after an apply. An equal document changes nothing.
 * @throws {PolicyError} POLICY_SYNTAX, POLICY_INVALID, LIMIT_EXCEEDED
 */
export function nextPolicy(
  before: StoredPolicy,
  document: PolicyDocument,
  denyListVersion: number,
): { readonly policy: StoredPolicy; readonly warnings: readonly string[] } {
  const version = before.version + 1;
  const { slices, warnings } = compilePolicy(document, { slices: slicesOf(before), version, denyListVersion });
  if (before.version > 0 && sameDocument(before.document, document)) return { policy: before, warnings };
  const marks = [...slices].map(([service, slice]): [string, SliceMark] => [
    service,
    { version: slice.version, needsDenyList: slice.needsDenyList, salt: Buffer.from(slice.salt) },
  ]);
  return { policy: { version, document, marks: new Map(marks) }, warnings };
}

/** Header length (u32 big-endian), header (JSON), document (protobuf): the document may be as large as a message of the bus allows. */
export function encodeStoredPolicy({ version, document, marks }: StoredPolicy): Uint8Array {
  const slices = [...marks].map(([service, mark]) => [service, { ...mark, salt: mark.salt.toString("base64") }]);
  const header = Buffer.from(JSON.stringify({ version, slices: Object.fromEntries(slices) }));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return Buffer.concat([length, header, PolicyDocument.encode(document).finish()]);
}

/** @throws {TypeError} when the bytes are not of this form. */
export function decodeStoredPolicy(bytes: Uint8Array): StoredPolicy {
  const buffer = Buffer.from(bytes);
  const end = 4 + buffer.readUInt32BE(0);
  const header: unknown = JSON.parse(buffer.toString("utf8", 4, end));
  const slices = new Map(Object.entries(memberOf(header, "slices")));
  return {
    version: wholeNumber(header, "version"),
    document: PolicyDocument.decode(buffer.subarray(end)),
    marks: new Map(
      [...slices].map(([service, mark]) => [
        service,
        {
          version: wholeNumber(mark, "version"),
          needsDenyList: wholeNumber(mark, "needsDenyList"),
          salt: saltOf(mark),
        },
      ]),
    ),
  };
}

function sameDocument(a: PolicyDocument, b: PolicyDocument): boolean {
  return canonical(a).equals(canonical(b));
}

/** Files sort; the order of workloads and services is the author's and counts. */
function canonical(document: PolicyDocument): Buffer {
  const files = Object.entries(document.cedarFiles).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(PolicyDocument.encode({ ...document, cedarFiles: Object.fromEntries(files) }).finish());
}

function memberOf(value: unknown, key: string): object {
  const member = read(value, key);
  if (typeof member === "object" && member !== null) return member;
  throw missing(key);
}

function wholeNumber(value: unknown, key: string): number {
  const member = read(value, key);
  if (typeof member === "number" && Number.isSafeInteger(member)) return member;
  throw missing(key);
}

function saltOf(mark: unknown): Buffer {
  const salt = read(mark, "salt");
  if (typeof salt === "string" && salt !== "") return Buffer.from(salt, "base64");
  throw missing("salt");
}

function read(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function missing(key: string): TypeError {
  return new TypeError(`the stored policy has no ${key}`);
}
