import { quote } from "./shell.ts";

/** MCP clients whose configuration we know. */
export type ClientName = "claude-desktop" | "claude-code" | "cursor" | "vscode" | "windsurf" | "generic";
export const clientNames: readonly ClientName[] = [
  "claude-desktop",
  "claude-code",
  "cursor",
  "vscode",
  "windsurf",
  "generic",
];

/** How a client starts a server: absolute paths, since it may have any PATH and any working folder. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Only what the command needs and the client would not pass on. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ClientConfig {
  /** Where it goes, as the client's documentation says; null: nowhere by itself. */
  readonly file: string | null;
  /** What to paste: a JSON object, or a command line. */
  readonly config:
    | { readonly kind: "json"; readonly value: object }
    | { readonly kind: "shell"; readonly line: string };
}

export function clientConfig(
  client: ClientName,
  name: string,
  server: ServerCommand,
  platform: NodeJS.Platform,
): ClientConfig {
  const entry = {
    command: server.command,
    args: server.args,
    ...(Object.keys(server.env).length === 0 ? {} : { env: server.env }),
  };
  switch (client) {
    case "claude-desktop":
      return { file: claudeDesktopFile(platform), config: { kind: "json", value: { mcpServers: { [name]: entry } } } };
    case "cursor":
      return { file: "~/.cursor/mcp.json", config: { kind: "json", value: { mcpServers: { [name]: entry } } } };
    case "windsurf":
      return {
        file: "~/.codeium/windsurf/mcp_config.json",
        config: { kind: "json", value: { mcpServers: { [name]: entry } } },
      };
    case "vscode":
      return {
        file: ".vscode/mcp.json",
        config: { kind: "json", value: { servers: { [name]: { type: "stdio", ...entry } } } },
      };
    case "claude-code":
      return { file: null, config: { kind: "shell", line: claudeCodeLine(name, server) } };
    case "generic":
      return { file: null, config: { kind: "json", value: entry } };
  }
}

function claudeDesktopFile(platform: NodeJS.Platform): string {
  if (platform === "darwin") return "~/Library/Application Support/Claude/claude_desktop_config.json";
  if (platform === "win32") return "%APPDATA%\\Claude\\claude_desktop_config.json";
  return "~/.config/Claude/claude_desktop_config.json";
}

function claudeCodeLine(name: string, { command, args, env }: ServerCommand): string {
  const variables = Object.entries(env).flatMap(([variable, value]) => ["--env", `${variable}=${value}`]);
  return ["claude", "mcp", "add", "--transport", "stdio", name, ...variables, "--", command, ...args]
    .map(quote)
    .join(" ");
}
