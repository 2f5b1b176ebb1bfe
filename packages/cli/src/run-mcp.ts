import { answerFirstRequest, Connector, ConnectorError, dialStdio } from "@sallyport/connector";
import { connectorLog } from "./connector-log.ts";
import type { Context } from "./context.ts";
import { failureOf } from "./failure.ts";
import { chooseProfile } from "./profile-choice.ts";

export interface McpOptions {
  readonly profile?: string;
  readonly verbose?: boolean;
}

/**
 * MCP between a client on standard input and output and a dark server. A client shows its user MCP errors and hides exit statuses,
 * so whatever prevents the conversation is also the answer to the client's first request.
 */
export async function runMcp(service: string, options: McpOptions, context: Context): Promise<void> {
  const { terminal, signal } = context;
  const { stdin, stdout } = terminal;
  const connector = await openConnector(options, context).catch(async (error: unknown) => {
    if (!signal.aborted) await answerFirstRequest(stdin, stdout, connectorErrorOf(error));
    throw error;
  });
  await using _open = connector;
  const end = await dialStdio({ connector, service, stdin, stdout, signal });
  if (end.kind !== "ended") throw end.error;
}

async function openConnector(options: McpOptions, context: Context): Promise<Connector> {
  const profile = await chooseProfile(options.profile, context);
  return await Connector.open({
    profile,
    log: connectorLog(context.terminal, options.verbose ?? false),
    signal: context.signal,
  });
}

function connectorErrorOf(error: unknown): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const { message, remedy } = failureOf(error);
  return new ConnectorError({ code: "PROFILE_UNKNOWN", message, remedy, cause: error });
}
