import { isName, parseSpiffeId } from "@sallyport/identity";
import type { Subject } from "@sallyport/proto/policy";
import { subjectInvalid } from "../errors.ts";
import type { SubjectKind } from "./deny-list.ts";

const SERIAL = /^[0-9a-f]{2,40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** @throws {RpcError} SUBJECT_INVALID */
export function checkSubject(subject: Subject | undefined, trustDomain: string): SubjectKind {
  const kind = subject?.kind;
  switch (kind?.$case) {
    case undefined:
      throw subjectInvalid("subject", "Nothing was named.", "Name a workload, an instance, a serial or an issuer.");
    case "name":
      if (isName(kind.value)) return kind;
      throw subjectInvalid(
        "subject.name",
        "This cannot name a workload.",
        "Send the name in spiffe://<trust domain>/workload/<name>/<instance>.",
      );
    case "instance":
      if (trustDomainOf(kind.value) === trustDomain) return kind;
      throw subjectInvalid(
        "subject.instance",
        `This is not a SPIFFE ID of ${trustDomain}.`,
        `Send spiffe://${trustDomain}/workload/<name>/<instance>.`,
      );
    case "serial":
      if (SERIAL.test(kind.value)) return kind;
      throw subjectInvalid(
        "subject.serial",
        "This is not a certificate serial.",
        "Send lower-case hexadecimal without separators.",
      );
    case "issuer":
      if (SHA256.test(kind.value)) return kind;
      throw subjectInvalid(
        "subject.issuer",
        "This is not a key's digest.",
        "Send SHA-256 of the issuer's SubjectPublicKeyInfo in lower-case hexadecimal.",
      );
  }
}

function trustDomainOf(uri: string): string | null {
  try {
    return parseSpiffeId(uri).trustDomain;
  } catch {
    return null;
  }
}
