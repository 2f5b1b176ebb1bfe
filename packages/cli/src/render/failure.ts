import type { Failure } from "../failure.ts";
import type { Colors } from "../terminal.ts";

/** `sallyport: what happened`, then what to do next, each on its own lines. */
export function renderFailure({ code, message, remedy, decisionId, facts }: Failure, colors: Colors): string {
  const lines = [`${colors.red("sallyport:")} ${message} ${colors.dim(`(${code})`)}`];
  const { file, line, column, ...others } = facts;
  if (file !== undefined)
    lines.push(
      `  ${colors.dim("at")} ${file}${line === undefined ? "" : `:${line}${column === undefined ? "" : `:${column}`}`}`,
    );
  for (const [name, value] of Object.entries(others)) lines.push(`  ${colors.dim(name)} ${value}`);
  if (decisionId !== "")
    lines.push(
      `  ${colors.dim("decision")} ${decisionId}`,
      `  ${colors.dim("explain")}  sallyport audit search --decision-id ${decisionId}`,
    );
  if (remedy !== "") lines.push(...remedy.split("\n").map((text) => `  ${colors.dim("next")} ${text}`));
  return lines.join("\n");
}
