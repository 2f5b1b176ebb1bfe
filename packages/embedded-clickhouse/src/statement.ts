import { ClickhouseFault } from "./clickhouse-fault.ts";

export interface InsertStatement {
  readonly table: string;
  readonly columns: readonly string[] | null;
}

const INSERT =
  /^\s*INSERT\s+INTO\s+([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)?)\s*(?:\(([^()]*)\)\s*)?FORMAT\s+([A-Za-z]+)\s*$/i;
const COLUMN = /^[A-Za-z0-9_]+$/;

/**
 * Reads `INSERT INTO table [(columns)] FORMAT JSONEachRow`, the one form in which data comes with a request.
 * @throws {ClickhouseFault} for any other insert
 */
export function parseInsert(sql: string): InsertStatement {
  const [, table, columnList, format] = INSERT.exec(sql) ?? [];
  if (table === undefined || format === undefined)
    throw ClickhouseFault.badArguments("Data is taken only by INSERT INTO table [(columns)] FORMAT JSONEachRow");
  if (format !== "JSONEachRow")
    throw new ClickhouseFault(400, 73, "UNKNOWN_FORMAT", "The embedded engine takes data only as JSONEachRow");
  if (columnList === undefined) return { table, columns: null };
  const columns = columnList.split(",").map((column) => column.trim().replace(/^`(.*)`$/, "$1"));
  if (!columns.every((column) => COLUMN.test(column)))
    throw ClickhouseFault.badArguments("A column name has characters that are not offered");
  return { table, columns };
}

/** What a reader may never run: `INTO OUTFILE` writes a file in readonly sessions too. Values come by placeholders, so that the word alone condemns. */
export function writesFile(sql: string): boolean {
  return /outfile/i.test(sql);
}

/** A string literal of ClickHouse's SQL (escapes by backslash; everything else stands for itself). */
export function stringLiteral(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\0", "\\0")}'`;
}
