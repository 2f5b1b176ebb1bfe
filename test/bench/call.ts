/**
 * What Sallyport adds to one MCP tool call: the same call of the same server, through the overlay and over plain stdio, in one
 * process and one run, interleaved, one at a time. `added` is the difference of the two percentiles.
 */
import { Agent, cast, enroll, createToken, everythingServer, services, throughSallyport } from "@sallyport/first-light";
import { openTestStage } from "../network/test-stage.ts";
import { percentile, print, round } from "./figure.ts";

const warmUpCalls = 50;

export async function benchCall(n: number): Promise<void> {
  await using test = await openTestStage();
  const { sallyport, network } = test.stage;
  await enroll(sallyport, cast.demoAgent, await createToken(network, cast.demoAgent));
  await using overlay = await Agent.connect(throughSallyport(sallyport, cast.demoAgent, services.everything));
  await using plain = await Agent.connect(everythingServer());
  for (let call = 0; call < warmUpCalls; call += 1) {
    await timeCall(plain);
    await timeCall(overlay);
  }
  const direct: number[] = [];
  const through: number[] = [];
  for (let call = 0; call < n; call += 1) {
    direct.push(await timeCall(plain));
    through.push(await timeCall(overlay));
  }
  for (const percent of [50, 99] as const) {
    const [base, value] = [percentile(direct, percent), percentile(through, percent)];
    print({
      figure: `mcp.call.added_p${percent}_ms`,
      value: round(value - base),
      unit: "ms",
      ratio: round(value / base),
      peer: `the same server over plain stdio: ${round(base)} ms`,
      n,
    });
  }
}

async function timeCall(agent: Agent): Promise<number> {
  const startedAt = performance.now();
  const { isError } = await agent.call("get-sum", { a: 19, b: 23 });
  const ms = performance.now() - startedAt;
  if (isError) throw new Error("the call was refused");
  return ms;
}
