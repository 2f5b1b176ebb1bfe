/** Everything off until every hourly certificate is worth nothing: a night, a week. Here an hour lasts 20 seconds. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as until } from "node:timers/promises";
import { cast, type Stage, stepNames, tellStory } from "@sallyport/first-light";
import { ListHostsRequest } from "@sallyport/proto/router";
import { expect, test } from "vitest";
import { temporaryHome, type TemporaryHome } from "../network/temporary-home.ts";
import { openTestStage } from "../network/test-stage.ts";

const svidTtlSeconds = 20;

async function hostedServices({ network }: Stage): Promise<readonly string[]> {
  const { hosts } = await network.admin.router.listHosts(ListHostsRequest.create());
  return [...new Set(hosts.map(({ service }) => service))].toSorted();
}

async function certificateOf(home: TemporaryHome, profile: string): Promise<X509Certificate> {
  return new X509Certificate(await readFile(join(home.profilesFolder, profile, "svid.pem")));
}

test("a network that was off until every certificate had expired tells the whole story again, without a hand", async () => {
  await using home = await temporaryHome();
  {
    await using before = await openTestStage({ home, svidTtlSeconds });
    // While it runs nobody notices how short an hour is.
    const first = await certificateOf(home, cast.everythingHost);
    await expect
      .poll(async () => (await certificateOf(home, cast.everythingHost)).serialNumber, { timeout: 30_000 })
      .not.toBe(first.serialNumber);
    expect(await hostedServices(before.stage)).toEqual(["everything", "files"]);
  }
  const last = await certificateOf(home, cast.everythingHost);
  // The last certificate of any party was made before now.
  await until(svidTtlSeconds * 1_000);
  expect(last.validToDate.getTime()).toBeLessThan(Date.now());

  await using after = await openTestStage({ home });
  const told: string[] = [];
  for await (const { step, kind } of tellStory({ stage: after.stage, profilesFolder: home.profilesFolder }))
    told.push(`${step} ${kind}`);
  expect(told).toEqual(stepNames.map((step) => `${step} held`));
}, 150_000);
