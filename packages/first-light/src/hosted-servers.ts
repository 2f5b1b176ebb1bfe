import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { AgentServer } from "./agent.ts";

const require = createRequire(import.meta.url);

function entryOf(packageName: string): string {
  return join(dirname(require.resolve(`${packageName}/package.json`)), "dist/index.js");
}

/** The MCP project's reference server with one tool of every kind; its `get-env` hands out the whole environment. */
export function everythingServer(): AgentServer {
  return { command: process.execPath, args: [entryOf("@modelcontextprotocol/server-everything"), "stdio"] };
}

/** The MCP project's file server, on one folder. */
export function filesServer(folder: string): AgentServer {
  return { command: process.execPath, args: [entryOf("@modelcontextprotocol/server-filesystem"), folder] };
}
