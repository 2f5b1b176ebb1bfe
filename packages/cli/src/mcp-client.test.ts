import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { clientConfig, clientNames, type ServerCommand } from "./mcp-client.ts";

const server: ServerCommand = {
  command: "/opt/it's here/node",
  args: ["/opt/sallyport.js", "mcp", "files", "--profile", "a b"],
  env: { XDG_CONFIG_HOME: "/c" },
};

test("each client gets the command with its arguments and variables, in its own form", () => {
  for (const client of clientNames) {
    const { config } = clientConfig(client, "files", server, "linux");
    const text = config.kind === "json" ? JSON.stringify(config.value) : config.line;
    for (const part of ["mcp", "files", "--profile", "XDG_CONFIG_HOME", "/opt/sallyport.js"])
      expect(text, client).toContain(part);
  }
});

test("the forms are those of the clients' documentation", () => {
  const entry = { command: server.command, args: server.args, env: server.env };
  expect(clientConfig("claude-desktop", "files", server, "darwin")).toEqual({
    file: "~/Library/Application Support/Claude/claude_desktop_config.json",
    config: { kind: "json", value: { mcpServers: { files: entry } } },
  });
  expect(clientConfig("vscode", "files", server, "linux").config).toEqual({
    kind: "json",
    value: { servers: { files: { type: "stdio", ...entry } } },
  });
});

test("the command line for a shell survives spaces and quotes", () => {
  const { config } = clientConfig("claude-code", "files", server, "linux");
  if (config.kind !== "shell") throw new Error("not a command line");
  const script = `claude() { for word in "$@"; do printf '%s\\n' "$word"; done; }\n${config.line}`;
  const words = execFileSync("/bin/sh", ["-c", script], { encoding: "utf8" }).trimEnd().split("\n");
  expect(words).toEqual([
    "mcp",
    "add",
    "--transport",
    "stdio",
    "files",
    "--env",
    "XDG_CONFIG_HOME=/c",
    "--",
    server.command,
    ...server.args,
  ]);
});
