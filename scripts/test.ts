/**
 * `npm test`: every gate, then every test, unit and end to end. Both run even when the first is red, so that one run tells all.
 * Arguments are handed to vitest. What harms processes and networks on purpose is `npm run test:fault`.
 */
import { runNode, runVitest } from "./run-vitest.ts";

const gates = await runNode(["scripts/check.ts"]);
const tests = await runVitest("vitest", "!fault", process.argv.slice(2));
if (!gates || !tests) process.exitCode = 1;
