// An MCP server that is not dark: it listens on a port before it becomes the server that it is asked for.
import { createServer } from "node:net";
import { pathToFileURL } from "node:url";

await new Promise((resolve) => createServer().listen(0, "127.0.0.1", () => resolve(undefined)));
process.argv.splice(1, 1);
await import(pathToFileURL(process.argv[1] ?? "").href);
