import { benchFairness } from "./circuit/fairness.ts";
import { benchDenied, benchOpens, benchRouterOpens } from "./circuit/opens.ts";
import { benchThroughput } from "./circuit/throughput.ts";

/** @param n transfers for the throughput; opens and denied dials are a hundred times as many. */
export async function benchCircuit(n: number): Promise<void> {
  await benchThroughput(n);
  await benchFairness();
  await benchOpens(n * 100);
  await benchRouterOpens();
  await benchDenied(n * 100);
}
