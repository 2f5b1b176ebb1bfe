import { parseArgs } from "node:util";
import { benchCall } from "./call.ts";
import { benchCircuit } from "./circuit.ts";
import { benchStart } from "./start.ts";

const benches: Readonly<Record<string, { readonly run: (n: number) => Promise<void>; readonly n: number }>> = {
  start: { run: benchStart, n: 3 },
  circuit: { run: benchCircuit, n: 5 },
  call: { run: benchCall, n: 1_000 },
};

const { positionals, values } = parseArgs({ allowPositionals: true, options: { n: { type: "string" } } });
const unknown = positionals.filter((name) => benches[name] === undefined);
if (positionals.length === 0 || unknown.length > 0) {
  process.stderr.write(`Usage: npm run bench -- <${Object.keys(benches).join("|")}> [--n <samples>]\n`);
  process.exitCode = 2;
} else {
  for (const name of positionals) {
    const bench = benches[name];
    if (bench !== undefined) await bench.run(values.n === undefined ? bench.n : Number(values.n));
  }
}
