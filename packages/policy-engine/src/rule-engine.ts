import {
  preparsePolicySet,
  preparseSchema,
  statefulIsAuthorized,
  type EntityJson,
  type Policy,
  type TypeAndId,
} from "@cedar-policy/cedar-wasm/nodejs";
import { actionUid, roleUid, serviceUid, toolUid, workloadUid } from "./entity-uid.ts";
import { PolicyError } from "./policy-error.ts";
import { SCHEMA } from "./schema.ts";

export interface EnginePrincipal {
  readonly name: string;
  readonly roles: readonly string[];
}

export interface EngineService {
  readonly name: string;
  readonly protocol: string;
}

export type EngineRequest =
  | { readonly action: "dial" | "host" }
  | {
      readonly action: "callTool";
      readonly tool: string;
      readonly strings: Record<string, string>;
      readonly numbers: Record<string, number>;
    };

export type EngineAnswer =
  /** The rules that determined it: permits of an allow, forbids of a deny; none of a deny by default. */
  | { readonly kind: "allow" | "deny"; readonly ruleIds: readonly string[] }
  /** Cedar skips a rule that fails and would let a failing forbid pass: so any failure is a refusal. */
  | { readonly kind: "failed"; readonly ruleIds: readonly string[]; readonly reason: string };

const SCHEMA_NAME = "sallyport";
const ARGUMENTS_UID: TypeAndId = { type: "Sallyport::Arguments", id: "call" };
const NUMBERS_UID: TypeAndId = { type: "Sallyport::Numbers", id: "call" };

/** Names of policy sets in cedar-wasm's cache, which can overwrite but not forget: engines hand theirs back for reuse. */
const freeNames: string[] = [];
let namesMade = 0;
let schemaParsed = false;

/**
 * A set of rules, parsed once inside cedar-wasm. Only the few entities of the request at hand go in: Cedar reads them anew each time.
 */
export class RuleEngine implements Disposable {
  readonly #name: string;

  constructor(rules: Readonly<Record<string, Policy>>) {
    if (!schemaParsed) {
      const schema = preparseSchema(SCHEMA_NAME, SCHEMA);
      if (schema.type === "failure") throw new PolicyError("POLICY_INVALID", "the policy schema does not parse");
      schemaParsed = true;
    }
    this.#name = freeNames.pop() ?? `rules-${++namesMade}`;
    const parsed = preparsePolicySet(this.#name, { staticPolicies: rules });
    if (parsed.type === "failure") {
      freeNames.push(this.#name);
      throw new PolicyError("POLICY_INVALID", parsed.errors.map((error) => error.message).join("; "));
    }
  }

  ask(principal: EnginePrincipal, service: EngineService, request: EngineRequest): EngineAnswer {
    try {
      return this.#evaluate(principal, service, request);
    } catch {
      // A trap inside WebAssembly, such as a full stack.
      return { kind: "failed", ruleIds: [], reason: "the policy engine failed" };
    }
  }

  #evaluate(principal: EnginePrincipal, service: EngineService, request: EngineRequest): EngineAnswer {
    const tool = request.action === "callTool" ? request.tool : null;
    const answer = statefulIsAuthorized({
      principal: workloadUid(principal.name),
      action: actionUid(request.action),
      resource: tool === null ? serviceUid(service.name) : toolUid(service.name, tool),
      context: tool === null ? {} : { arguments: { __entity: ARGUMENTS_UID }, numbers: { __entity: NUMBERS_UID } },
      preparsedSchemaName: SCHEMA_NAME,
      validateRequest: true,
      preparsedPolicySetId: this.#name,
      entities: entitiesOf(principal, service, request),
    });
    if (answer.type === "failure")
      return { kind: "failed", ruleIds: [], reason: answer.errors.map((error) => error.message).join("; ") };
    const { decision, diagnostics } = answer.response;
    if (diagnostics.errors.length > 0) {
      const failures = diagnostics.errors.map(({ policyId, error }) => `${policyId}: ${error.message}`);
      return {
        kind: "failed",
        ruleIds: diagnostics.errors.map(({ policyId }) => policyId),
        reason: failures.join("; "),
      };
    }
    return { kind: decision, ruleIds: diagnostics.reason.toSorted() };
  }

  /** After this the engine must not be asked; without it the parsed rules stay in memory. */
  [Symbol.dispose](): void {
    preparsePolicySet(this.#name, { staticPolicies: {} });
    freeNames.push(this.#name);
  }
}

function entitiesOf(principal: EnginePrincipal, service: EngineService, request: EngineRequest): EntityJson[] {
  const roles = principal.roles.map(roleUid);
  const entities: EntityJson[] = [
    { uid: workloadUid(principal.name), attrs: { name: principal.name }, parents: roles },
    ...roles.map((uid): EntityJson => ({ uid, attrs: {}, parents: [] })),
    { uid: serviceUid(service.name), attrs: { name: service.name, protocol: service.protocol }, parents: [] },
  ];
  if (request.action === "callTool") {
    entities.push(
      { uid: toolUid(service.name, request.tool), attrs: { name: request.tool }, parents: [serviceUid(service.name)] },
      { uid: ARGUMENTS_UID, attrs: {}, parents: [], tags: request.strings },
      { uid: NUMBERS_UID, attrs: {}, parents: [], tags: request.numbers },
    );
  }
  return entities;
}
