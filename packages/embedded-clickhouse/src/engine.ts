/**
 * The engine behind a safe surface. What its Node binding does otherwise, and what holds here:
 *
 * 1. A failed query leaves its partial output to the next one on its session: every request has a session of its own, one for its whole life.
 * 2. Settings stick to a session: same cure, and the settings of every request are pinned.
 * 3. A raw insert runs SQL after an empty line: only rows from {@link reserializeRows} come here.
 * 4. Its one user may read files and the network: readers' sessions are `readonly`, which the engine cannot leave again.
 * 5. Placeholders bound through the binding run one at a time in the whole process: they are set by `SET param_x` on the session instead.
 * 6. Closing it while something runs ends the process by a fault: it is drained first.
 */
import { randomUUID } from "node:crypto";
import { Session, drainPending } from "chdb";
import { ClickhouseFault } from "./clickhouse-fault.ts";
import { Slots } from "./slots.ts";
import { type InsertStatement, stringLiteral, writesFile } from "./statement.ts";

export interface EngineRequest {
  readonly values: ReadonlyMap<string, string>;
  readonly settings: ReadonlyMap<string, string>;
  /** Ends the query when its caller is gone. */
  readonly signal: AbortSignal;
}

const MAX_PARALLEL = 6;
const MAX_WAITING = 128;
const PINNED: readonly (readonly [string, string])[] = [
  ["async_insert", "0"],
  ["input_format_skip_unknown_fields", "0"],
  ["max_execution_time", "30"],
  ["max_memory_usage", "1073741824"],
  ["max_result_bytes", "67108864"],
  ["result_overflow_mode", "throw"],
  ["max_threads", "2"],
];

export class Engine implements AsyncDisposable {
  readonly version: string;
  readonly #dataFolder: string;
  /** Keeps the engine loaded between requests, and ends queries of other sessions. */
  readonly #keeper: Session;
  readonly #slots: Slots = new Slots(MAX_PARALLEL, MAX_WAITING);

  private constructor(dataFolder: string, keeper: Session, version: string) {
    this.#dataFolder = dataFolder;
    this.#keeper = keeper;
    this.version = version;
  }

  /** @throws the binding's error, also when another process has the folder */
  static open(dataFolder: string): Engine {
    const keeper = new Session(dataFolder);
    const version = keeper.query("SELECT version()", "TabSeparatedRaw").trim();
    return new Engine(dataFolder, keeper, version);
  }

  /** Runs one statement and gives its output in the format that the statement names, else tab-separated. */
  query(sql: string, request: EngineRequest, access: "read" | "write"): Promise<Uint8Array> {
    if (access === "read" && writesFile(sql))
      throw new ClickhouseFault(403, 497, "ACCESS_DENIED", "A reader writes no files");
    return this.#withSession(request, access, async (session) =>
      (await session.queryAsync(sql, { format: "TabSeparated" })).bytes(),
    );
  }

  /** Inserts rows that {@link reserializeRows} made; durable against the end of this process when it resolves. */
  insert(into: InsertStatement, rows: Buffer, request: EngineRequest): Promise<number> {
    const settings = Object.fromEntries([...PINNED, ...request.settings]);
    const columns = into.columns === null ? {} : { columns: [...into.columns] };
    return this.#slots.run(async () => {
      const session = new Session(this.#dataFolder);
      try {
        const summary = await session.insert({
          table: into.table,
          ...columns,
          values: rows,
          format: "JSONEachRow",
          settings,
        });
        return summary.rowsWritten;
      } finally {
        session.close();
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await drainPending();
    this.#keeper.close();
  }

  #withSession<Result>(
    request: EngineRequest,
    access: "read" | "write",
    work: (session: Session) => Promise<Result>,
  ): Promise<Result> {
    return this.#slots.run(async () => {
      request.signal.throwIfAborted();
      const tag = randomUUID();
      const session = new Session(this.#dataFolder);
      const kill = (): void => this.#kill(tag);
      request.signal.addEventListener("abort", kill, { once: true });
      try {
        await session.queryAsync(
          setStatement([...PINNED, ...request.settings, ...request.values, ["log_comment", tag]]),
        );
        if (access === "read") await session.queryAsync("SET readonly = 1");
        return await work(session);
      } finally {
        request.signal.removeEventListener("abort", kill);
        session.close();
      }
    });
  }

  #kill(tag: string): void {
    this.#keeper.query(`KILL QUERY WHERE Settings['log_comment'] = ${stringLiteral(tag)} ASYNC`);
  }
}

function setStatement(assignments: readonly (readonly [string, string])[]): string {
  return `SET ${assignments.map(([name, value]) => `${name} = ${stringLiteral(value)}`).join(", ")}`;
}
