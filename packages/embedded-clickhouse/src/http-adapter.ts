/** The part of ClickHouse's HTTP interface that `@clickhouse/client` uses, over one private socket. */
import { createHash, timingSafeEqual } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { ClickhouseFault } from "./clickhouse-fault.ts";
import type { Engine } from "./engine.ts";
import { reserializeRows } from "./json-rows.ts";
import { type RequestParameters, readRequestParameters } from "./request-parameters.ts";
import { parseInsert } from "./statement.ts";

type Access = "read" | "write";

const MAX_STATEMENT_BYTES = 262_144;
const MAX_ROWS_BYTES = 67_108_864;
/** The URL carries the placeholders' values; ClickHouse's own default for it is the same. */
const MAX_HEADER_BYTES = 1_048_576;

export interface AdapterTokens {
  readonly writerToken: string;
  readonly readerToken: string;
}

export function createHttpAdapter(engine: Engine, tokens: AdapterTokens): Server {
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 60_000 }, (request, response) => {
    answer(engine, tokens, request, response).catch((error: unknown) => refuse(response, error));
  });
  // An idle connection that this side ended could meet the client's next request on its way.
  server.keepAliveTimeout = 0;
  return server;
}

async function answer(
  engine: Engine,
  tokens: AdapterTokens,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://engine");
  if (url.pathname === "/ping") {
    send(response, "Ok.\n");
    return;
  }
  const access = accessOf(request, tokens);
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    throw ClickhouseFault.badArguments("Compressed requests are not offered");
  const parameters = readRequestParameters(url.searchParams);
  const signal = goneSignal(response);
  if (parameters.query === "") {
    const sql = (await readBody(request, MAX_STATEMENT_BYTES, "A statement")).toString("utf8");
    await answerQuery(engine, sql, { parameters, access, signal }, response);
  } else if (/^\s*INSERT\b/i.test(parameters.query)) {
    if (access === "read") throw new ClickhouseFault(403, 164, "READONLY", "Cannot execute query in readonly mode");
    const { rows, count } = reserializeRows(await readBody(request, MAX_ROWS_BYTES, "The data of an insert"));
    const written =
      count === 0 ? 0 : await engine.insert(parseInsert(parameters.query), rows, { ...parameters, signal });
    response.setHeader("X-ClickHouse-Summary", JSON.stringify({ written_rows: String(written) }));
    send(response, "");
  } else {
    await answerQuery(engine, parameters.query, { parameters, access, signal }, response);
  }
}

async function answerQuery(
  engine: Engine,
  sql: string,
  context: { readonly parameters: RequestParameters; readonly access: Access; readonly signal: AbortSignal },
  response: ServerResponse,
): Promise<void> {
  const { parameters, access, signal } = context;
  send(response, await engine.query(sql, { ...parameters, signal }, access));
}

function accessOf(request: IncomingMessage, { writerToken, readerToken }: AdapterTokens): Access {
  const [scheme, credentials = ""] = (request.headers.authorization ?? "").split(" ");
  const decoded = scheme === "Basic" ? Buffer.from(credentials, "base64").toString("utf8") : "";
  if (isSame(decoded, `writer:${writerToken}`)) return "write";
  if (isSame(decoded, `reader:${readerToken}`)) return "read";
  throw ClickhouseFault.authenticationFailed();
}

function isSame(given: string, expected: string): boolean {
  return timingSafeEqual(createHash("sha256").update(given).digest(), createHash("sha256").update(expected).digest());
}

/** Aborts when the caller went away before it had its answer. */
function goneSignal(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

async function readBody(request: IncomingMessage, maxBytes: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > maxBytes) throw ClickhouseFault.tooLarge(what, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function send(response: ServerResponse, body: string | Uint8Array): void {
  response.setHeader("Content-Type", "text/plain; charset=UTF-8");
  response.end(body);
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const { httpStatus, clickhouseCode, message } = faultOf(error);
  response.statusCode = httpStatus;
  response.setHeader("X-ClickHouse-Exception-Code", String(clickhouseCode));
  // What is left of a refused body is not read: the connection ends with the answer.
  response.setHeader("Connection", "close");
  send(response, message);
}

function faultOf(error: unknown): ClickhouseFault | { httpStatus: number; clickhouseCode: number; message: string } {
  if (error instanceof ClickhouseFault) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = /^Code: (\d+)\./.exec(message)?.[1];
  return { httpStatus: 500, clickhouseCode: Number(code ?? 1000), message };
}
