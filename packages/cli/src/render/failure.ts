import type { Failure } from "../failure.ts";
import type { Colors } from "../terminal.ts";
import { printable } from "./printable.ts";

/** `sallyport: what happened`, then what to do next, each on its own lines. */
export function renderFailure({ code, message, remedy, decisionId, facts }: Failure, colors: Colors): string {
  const lines = [
    `${colors.red("sallyport:")} ${printable(withoutDecision(message, decisionId), "\n")} ${colors.dim(`(${code})`)}`,
  ];
  const { file, line, column, source, ...others } = facts;
  const place = [file, line, column].filter((part) => part !== undefined).join(":");
  if (place !== "" && !message.includes(place)) lines.push(`  ${colors.dim("at")} ${printable(place)}`);
  if (source !== undefined) lines.push(...excerpt(source, Number(line), Number(column), colors));
  for (const [name, value] of Object.entries(others)) lines.push(`  ${colors.dim(name)} ${printable(value)}`);
  if (decisionId !== "")
    lines.push(
      `  ${colors.dim("decision")} ${printable(decisionId)}`,
      `  ${colors.dim("explain")}  sallyport audit search --decision-id ${printable(decisionId)}`,
    );
  if (remedy !== "") lines.push(...remedy.split("\n").map((text) => `  ${colors.dim("next")} ${text}`));
  return lines.join("\n");
}

/** An MCP client sees nothing but the message, so the decision is in it; here it has a line of its own. */
function withoutDecision(message: string, decisionId: string): string {
  return decisionId === "" ? message : message.replace(`, decision ${decisionId})`, ")");
}

/** The author's own line, and below it where the fault begins. */
function excerpt(source: string, line: number, column: number, { dim, red }: Colors): readonly string[] {
  const number = String(line);
  return [
    `  ${dim(`${number} │`)} ${printable(source, "\t")}`,
    `  ${dim(`${" ".repeat(number.length)} │`)} ${" ".repeat(Math.max(0, column - 1))}${red("^")}`,
  ];
}
