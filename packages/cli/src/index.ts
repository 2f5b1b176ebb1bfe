export type { Context } from "./context.ts";
export { exitCode } from "./exit-code.ts";
export type { ExitCode } from "./exit-code.ts";
export { runCli } from "./run-cli.ts";
export { Terminal } from "./terminal.ts";
