/** `npm run test:fault`: every fault of test/fault, one after another, on real processes. Arguments are handed to vitest. */
import { runVitest } from "./run-vitest.ts";

if (!(await runVitest("fault", "fault", process.argv.slice(2)))) process.exitCode = 1;
