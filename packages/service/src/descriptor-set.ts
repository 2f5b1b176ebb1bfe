/**
 * What `buf build` wrote (google.protobuf.FileDescriptorSet), read as far as server reflection needs it: which file declares a name, and what that
 * file imports. Each file's bytes stay as the compiler wrote them: decoded and encoded again by another library, type names lost their leading dot,
 * and strict clients refused them. Field numbers: google/protobuf/descriptor.proto.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

interface File {
  /** Encoded FileDescriptorProto. */
  readonly bytes: Uint8Array;
  readonly imports: readonly string[];
}

export class DescriptorSet {
  readonly #files = new Map<string, File>();
  /** The file that declares a full name. */
  readonly #declaredIn = new Map<string, string>();

  constructor(encoded: Uint8Array) {
    for (const bytes of fieldsOf(encoded, 1)) {
      const name = textsOf(bytes, 1)[0] ?? "";
      this.#files.set(name, { bytes, imports: textsOf(bytes, 3) });
      for (const symbol of symbolsOf(bytes)) this.#declaredIn.set(symbol, name);
    }
  }

  /** @returns the file and everything that it imports, each once; undefined when there is no such file. */
  file(name: string): readonly Uint8Array[] | undefined {
    if (!this.#files.has(name)) return undefined;
    const reached = new Set([name]);
    // A set that grows while it is walked is walked to its end.
    for (const next of reached) for (const imported of this.#files.get(next)?.imports ?? []) reached.add(imported);
    return [...reached].flatMap((each) => this.#files.get(each)?.bytes ?? []);
  }

  /** The same for the file that declares a service, method, message or enum by its full name. */
  fileDeclaring(symbol: string): readonly Uint8Array[] | undefined {
    return this.file(this.#declaredIn.get(symbol) ?? "");
  }
}

/** Full names that a FileDescriptorProto declares. */
function symbolsOf(file: Uint8Array): readonly string[] {
  const scope = textsOf(file, 2)[0] ?? "";
  return [
    ...fieldsOf(file, 4).flatMap((message) => messageSymbols(message, scope)),
    ...fieldsOf(file, 5).map((enumeration) => nameIn(scope, enumeration)),
    ...fieldsOf(file, 6).flatMap((service) => {
      const name = nameIn(scope, service);
      return [name, ...fieldsOf(service, 2).map((method) => nameIn(name, method))];
    }),
  ];
}

function messageSymbols(message: Uint8Array, scope: string): readonly string[] {
  const name = nameIn(scope, message);
  const nested = fieldsOf(message, 3).flatMap((each) => messageSymbols(each, name));
  return [name, ...nested, ...fieldsOf(message, 4).map((enumeration) => nameIn(name, enumeration))];
}

/** Every descriptor of something with a name has it in field 1. */
function nameIn(scope: string, descriptor: Uint8Array): string {
  const name = textsOf(descriptor, 1)[0] ?? "";
  return scope === "" ? name : `${scope}.${name}`;
}

function textsOf(message: Uint8Array, field: number): readonly string[] {
  return fieldsOf(message, field).map((bytes) => Buffer.from(bytes).toString("utf8"));
}

/** The values of a field of bytes, texts or messages. */
function fieldsOf(message: Uint8Array, field: number): readonly Uint8Array[] {
  const reader = new BinaryReader(message);
  const values: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === field && wireType === WireType.LengthDelimited) values.push(reader.bytes());
    else reader.skip(wireType, number);
  }
  return values;
}
