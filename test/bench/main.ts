import { parseArgs } from "node:util";
import { benchCall } from "./call.ts";
import { benchCircuit } from "./circuit.ts";
import { benchIdle } from "./idle.ts";
import { benchRevoke } from "./revoke.ts";
import { benchSoak } from "./soak.ts";
import { benchSplice } from "./splice.ts";
import { benchStart } from "./start.ts";

const benches: Readonly<Record<string, { readonly run: (n: number) => Promise<void>; readonly n: number }>> = {
  start: { run: benchStart, n: 3 },
  circuit: { run: benchCircuit, n: 5 },
  revoke: { run: benchRevoke, n: 20 },
  splice: { run: benchSplice, n: 5 },
  idle: { run: benchIdle, n: 5_000 },
  soak: { run: benchSoak, n: 30 },
  call: { run: benchCall, n: 1_000 },
};

/** `--minutes` is what `--n` means to the soak. */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { n: { type: "string" }, minutes: { type: "string" } },
});
const unknown = positionals.filter((name) => benches[name] === undefined);
if (positionals.length === 0 || unknown.length > 0) {
  process.stderr.write(
    `Usage: npm run bench -- <${Object.keys(benches).join("|")}> [--n <samples>] [--minutes <of the soak>]\n`,
  );
  process.exitCode = 2;
} else {
  for (const name of positionals) {
    const bench = benches[name];
    if (bench !== undefined) await bench.run(Number(values.minutes ?? values.n ?? bench.n));
  }
}
