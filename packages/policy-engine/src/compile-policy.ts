import { randomBytes } from "node:crypto";
import { Slice, Stickiness, type PolicyDocument, type Service } from "@sallyport/proto/policy";
import { byName } from "./by-name.ts";
import { checkDocument } from "./check-document.ts";
import { MAX_PAYLOAD_BYTES } from "./limits.ts";
import { PolicyError } from "./policy-error.ts";
import { readRules } from "./read-rules.ts";
import type { Rule } from "./rule.ts";
import { serviceReach, type ServiceReach } from "./service-reach.ts";
import { mattersFor } from "./service-scope.ts";
import { validateRules } from "./validate-rules.ts";
import { warningsAbout } from "./warnings.ts";

/** What the new document follows. */
export interface PreviousPolicy {
  /** Slices in force; one whose content stays the same keeps its version, its salt and so its bytes. */
  readonly slices: ReadonlyMap<string, Slice>;
  /** The version of the document that is being compiled. */
  readonly version: number;
  /** The deny-list beside which changed slices must be decided. */
  readonly denyListVersion: number;
}

const SALT_BYTES = 16;

export interface CompiledPolicy {
  readonly slices: ReadonlyMap<string, Slice>;
  readonly warnings: readonly string[];
}

/**
 * Checks a document whole and cuts it into one slice per service.
 * @throws {PolicyError} POLICY_SYNTAX and POLICY_INVALID with file, line and column where they are in Cedar text; LIMIT_EXCEEDED
 */
export function compilePolicy(document: PolicyDocument, previous: PreviousPolicy): CompiledPolicy {
  checkDocument(document);
  const rules = readRules(document);
  const cedarWarnings = validateRules(rules);
  const byId = [...rules.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const workloads = document.workloads.map(({ name, roles }) => ({ name, roles: roles.toSorted() })).toSorted(byName);
  const slices = new Map<string, Slice>();
  const reaches = new Map<string, ServiceReach>();
  for (const service of document.services.toSorted(byName)) {
    const relevant = byId.filter((rule) => mattersFor(rule.json, service.name));
    const reach = serviceReach(service, relevant, workloads);
    reaches.set(service.name, reach);
    slices.set(service.name, sliceOf(service, relevant, reach, previous));
  }
  return { slices, warnings: [...cedarWarnings, ...warningsAbout(document, rules, reaches)] };
}

/** The bytes that are signed and whose digest is in the head: equal slices have equal bytes. */
export function encodeSlice(slice: Slice): Uint8Array {
  return Slice.encode(slice).finish();
}

function sliceOf(service: Service, rules: readonly Rule[], reach: ServiceReach, previous: PreviousPolicy): Slice {
  const slice: Slice = {
    service: service.name,
    version: previous.version,
    protocol: service.protocol,
    policies: Object.fromEntries(rules.map(({ id, text }) => [id, text])),
    workloads: [...reach.workloads],
    needsDenyList: previous.denyListVersion,
    salt: randomBytes(SALT_BYTES),
    // What is not said and what is said to be none are one, so that they have the same bytes.
    stickiness:
      service.stickiness === Stickiness.STICKINESS_DIALER ? service.stickiness : Stickiness.STICKINESS_UNSPECIFIED,
  };
  const size = encodeSlice(slice).length;
  if (size > MAX_PAYLOAD_BYTES) {
    throw new PolicyError(
      "LIMIT_EXCEEDED",
      `the slice of service ${service.name} has ${size} bytes, more than ${MAX_PAYLOAD_BYTES}`,
    );
  }
  const before = previous.slices.get(service.name);
  return before !== undefined && sameContent(before, slice) ? before : slice;
}

function sameContent(a: Slice, b: Slice): boolean {
  const content = (slice: Slice): Buffer =>
    Buffer.from(encodeSlice({ ...slice, version: 0, needsDenyList: 0, salt: Buffer.alloc(0) }));
  return content(a).equals(content(b));
}
