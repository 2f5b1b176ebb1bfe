/** From `npm start`, everything installed and no state yet, to the result of the first allowed call. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { checkout } from "../network/test-stage.ts";
import { temporaryHome } from "../network/temporary-home.ts";
import { percentile, print, round } from "./figure.ts";

/** The product's promise. */
const limitMs = 15_000;

export async function benchStart(n: number): Promise<void> {
  const samples: number[] = [];
  for (let run = 0; run < n; run += 1) samples.push(await startOnce());
  const value = percentile(samples, 50);
  print({
    figure: "start.first_allowed_call.ms",
    value: round(value),
    unit: "ms",
    ratio: round(value / limitMs),
    peer: `the limit of ${limitMs} ms`,
    n,
  });
}

async function startOnce(): Promise<number> {
  await using home = await temporaryHome();
  const startedAt = performance.now();
  const story = spawn("npm", ["start", "--silent", "--", "--once", "--json", "--state", home.stateDir], {
    cwd: checkout,
    env: home.env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(story, "close");
  let firstCallMs: number | null = null;
  for await (const line of createInterface({ input: story.stdout })) {
    const report: { step?: string; ok?: boolean } = line.startsWith("{") ? JSON.parse(line) : {};
    if (report.step === "allowed-call" && report.ok === true) firstCallMs = performance.now() - startedAt;
  }
  const [status] = await ended;
  if (firstCallMs === null || status !== 0) throw new Error(`npm start ended with status ${String(status)}`);
  return firstCallMs;
}
