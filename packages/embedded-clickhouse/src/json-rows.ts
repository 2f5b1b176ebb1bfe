import { ClickhouseFault } from "./clickhouse-fault.ts";

/**
 * Rows in JSONEachRow as the engine may read them: every line parsed and written anew.
 *
 * The engine's raw insert takes an empty line for the end of the data and runs what follows as SQL, so that bytes of a message must never
 * reach it as they came. JSON.stringify escapes every line break inside a value.
 * @throws {ClickhouseFault} for a line that is not one JSON object, or a number that JavaScript cannot hold exactly
 */
export function reserializeRows(body: Buffer): { readonly rows: Buffer; readonly count: number } {
  const lines: string[] = [];
  for (const line of body.toString("utf8").split("\n")) {
    if (line.trim() === "") continue;
    lines.push(JSON.stringify(parseRow(line, lines.length + 1)));
  }
  return { rows: Buffer.from(lines.length === 0 ? "" : `${lines.join("\n")}\n`, "utf8"), count: lines.length };
}

function parseRow(line: string, number: number): unknown {
  let row: unknown;
  try {
    row = JSON.parse(line, exactNumber);
  } catch (error) {
    if (error instanceof ClickhouseFault) throw error;
    throw ClickhouseFault.badArguments(`Row ${number} is not JSON`);
  }
  if (typeof row !== "object" || row === null || Array.isArray(row))
    throw ClickhouseFault.badArguments(`Row ${number} is not a JSON object`);
  return row;
}

function exactNumber(_: string, value: unknown): unknown {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw ClickhouseFault.badArguments("An integer beyond 2^53 must be given as a string");
  }
  return value;
}
