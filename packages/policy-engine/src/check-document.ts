import { isName } from "@sallyport/identity";
import { PolicyDocument, Stickiness, type Service, type Workload } from "@sallyport/proto/policy";
import {
  MAX_CEDAR_FILE_BYTES,
  MAX_CEDAR_FILES,
  MAX_DESCRIPTION_CHARACTERS,
  MAX_PAYLOAD_BYTES,
  MAX_ROLES_PER_WORKLOAD,
  MAX_SERVICES,
  MAX_WORKLOADS,
} from "./limits.ts";
import { PolicyError } from "./policy-error.ts";

const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,122}\.cedar$/;
const PROTOCOLS: readonly string[] = ["mcp", "tcp"];
const STICKINESSES: readonly Stickiness[] = [
  Stickiness.STICKINESS_UNSPECIFIED,
  Stickiness.STICKINESS_NONE,
  Stickiness.STICKINESS_DIALER,
];

/**
 * Sizes, names and duplicates: everything about a document that needs no Cedar.
 * @throws {PolicyError} LIMIT_EXCEEDED, POLICY_INVALID, with `field`
 */
export function checkDocument(document: PolicyDocument): void {
  checkFiles(Object.entries(document.cedarFiles));
  limit("workloads", document.workloads.length, MAX_WORKLOADS);
  limit("services", document.services.length, MAX_SERVICES);
  limit("document (bytes)", PolicyDocument.encode(document).finish().length, MAX_PAYLOAD_BYTES);
  document.workloads.forEach(checkWorkload);
  document.services.forEach(checkService);
  checkUnique("workloads", document.workloads);
  checkUnique("services", document.services);
}

function checkFiles(files: readonly (readonly [string, string])[]): void {
  limit("cedar_files", files.length, MAX_CEDAR_FILES);
  for (const [name, text] of files) {
    if (!FILE_NAME.test(name))
      invalid(
        "cedar_files",
        `${JSON.stringify(name)} is not a name for a policy file: letters, digits and . _ / -, ending in .cedar`,
      );
    if (!text.isWellFormed()) invalid(`cedar_files.${name}`, `${name} is not valid Unicode`);
    limit(`cedar_files.${name} (bytes)`, Buffer.byteLength(text), MAX_CEDAR_FILE_BYTES);
  }
}

function checkWorkload(workload: Workload, index: number): void {
  const field = `workloads.${index}`;
  if (!isName(workload.name)) invalid(`${field}.name`, nameRule("workload", workload.name));
  limit(`${field}.roles`, workload.roles.length, MAX_ROLES_PER_WORKLOAD);
  for (const role of workload.roles) if (!isName(role)) invalid(`${field}.roles`, nameRule("role", role));
  if (new Set(workload.roles).size !== workload.roles.length)
    invalid(`${field}.roles`, `workload ${workload.name} has a role twice`);
}

function checkService(service: Service, index: number): void {
  const field = `services.${index}`;
  if (!isName(service.name)) invalid(`${field}.name`, nameRule("service", service.name));
  if (!PROTOCOLS.includes(service.protocol))
    invalid(
      `${field}.protocol`,
      `service ${service.name} has the protocol ${JSON.stringify(service.protocol)}; it must be mcp or tcp`,
    );
  if (!STICKINESSES.includes(service.stickiness))
    invalid(`${field}.stickiness`, `service ${service.name} has a stickiness that this version does not know`);
  limit(`${field}.description (characters)`, service.description.length, MAX_DESCRIPTION_CHARACTERS);
}

function checkUnique(field: string, named: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of named) {
    if (seen.has(name)) invalid(field, `${name} is listed twice`);
    seen.add(name);
  }
}

function nameRule(what: string, name: string): string {
  return `${JSON.stringify(name)} cannot name a ${what}: 1 to 63 lower-case letters, digits and inner hyphens`;
}

function limit(field: string, actual: number, most: number): void {
  if (actual > most) throw new PolicyError("LIMIT_EXCEEDED", `${field}: ${actual} is more than ${most}`, { field });
}

function invalid(field: string, message: string): never {
  throw new PolicyError("POLICY_INVALID", message, { field });
}
