import type { Decision } from "@sallyport/policy-engine";
import type { ConnectorError } from "../../errors.ts";
import type { RpcId } from "./message.ts";

/** JSON-RPC 2.0, section 5.1. */
export const rpcCode = {
  parseError: -32_700,
  invalidRequest: -32_600,
  methodNotFound: -32_601,
  invalidParams: -32_602,
  internalError: -32_603,
} as const;

/**
 * Sallyport's own codes, outside of what JSON-RPC and MCP reserve (-32768 to -32000).
 * `refused`: policy or an identity check said no. `unreachable`: there was no way to the service, or it was cut.
 */
export const sallyportCode = { refused: -31_403, unreachable: -31_503 } as const;

/** Under which `_meta` and `data` carry the decision. */
export const decisionKey = "sallyport.dev/decision";

export function errorLine(id: RpcId | null, code: number, message: string, data?: unknown): Buffer {
  return line({ jsonrpc: "2.0", id, error: { code, message, ...(data === undefined ? {} : { data }) } });
}

/** The answer to a request that no circuit took. */
export function refusalLine(id: RpcId, error: ConnectorError): Buffer {
  const { refusal } = error;
  const code = refusal === undefined ? sallyportCode.unreachable : sallyportCode.refused;
  const { decisionId = "", ruleIds = [] } = refusal ?? {};
  const remedy = error.remedy === undefined ? "" : ` ${error.remedy}`;
  return errorLine(id, code, `Sallyport: ${error.message}${remedy}`, {
    code: refusal?.code ?? error.code,
    decisionId,
    ruleIds,
  });
}

/**
 * A tool that this caller may call under no arguments, which is also the answer for a tool that does not exist as far as policy knows:
 * both went through policy, both carry the id of their own decision, and nothing tells them apart but an explicit forbid's rule.
 */
export function unknownTool(id: RpcId, tool: string, decision: Decision): Buffer {
  return errorLine(id, rpcCode.invalidParams, `Unknown tool: ${tool}`, decisionData(decision));
}

/** A tool that this caller may call, but not like this: a result, so that the model reads why and can do otherwise. */
export function refusedCall(id: RpcId, decision: Decision, isModern: boolean): Buffer {
  const result = {
    content: [{ type: "text", text: refusalText(decision) }],
    isError: true,
    // Since 2026-07-28 every result says what it is.
    ...(isModern ? { resultType: "complete" } : {}),
    _meta: { [decisionKey]: decisionData(decision) },
  };
  return line({ jsonrpc: "2.0", id, result });
}

function refusalText({ ruleIds, reason, decisionId }: Decision): string {
  const rule = ruleIds.length === 0 ? "" : ` ${ruleIds.join(", ")}`;
  return `Denied by policy${rule}: ${reason} (decision ${decisionId})`;
}

function decisionData({ decisionId, ruleIds, sliceVersion }: Decision): object {
  return { decisionId, ruleIds, sliceVersion };
}

function line(message: object): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\n`);
}
