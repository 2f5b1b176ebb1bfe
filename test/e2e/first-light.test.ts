/**
 * The first minute on a whole constellation, and each of its steps turned red by the fault that it is there to notice.
 * The controls that need no network are in packages/first-light.
 */
import { join } from "node:path";
import {
  Agent,
  allowedCall,
  audited,
  callableTools,
  cast,
  createToken,
  dark,
  deniedArgument,
  deniedTool,
  enrolled,
  everythingServer,
  revoked,
  rules,
  services,
  type Stage,
  stepNames,
  tellStory,
  throughSallyport,
  toolsListed,
  unreachableService,
  welcomeBack,
} from "@sallyport/first-light";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { applyPolicyVariant } from "../network/policy-variant.ts";
import { openTestStage, type TestStage } from "../network/test-stage.ts";

let booted: TestStage;
let stage: Stage;

beforeAll(async () => {
  booted = await openTestStage();
  stage = booted.stage;
  return () => booted[Symbol.asyncDispose]();
});

async function tellAll(): Promise<readonly string[]> {
  const told: string[] = [];
  for await (const report of tellStory({ stage, profilesFolder: booted.home.profilesFolder })) {
    told.push(report.kind === "held" ? `${report.step} held` : `${report.step} failed: ${report.error.message}`);
  }
  return told;
}

const wholeStory = stepNames.map((step) => `${step} held`);

test("the first minute holds, step by step", async () => {
  expect(await tellAll()).toEqual(wholeStory);
});

test("it holds again on the same network, after the agent was reinstated", async () => {
  await welcomeBack(stage);
  expect(await tellAll()).toEqual(wholeStory);
});

describe("each step is red when its fault is there", () => {
  let agent: Agent;
  const onEverything = { agentName: cast.demoAgent, service: services.everything };

  beforeAll(async () => {
    await welcomeBack(stage);
  });
  beforeEach(async () => {
    agent = await Agent.connect(throughSallyport(stage.sallyport, cast.demoAgent, services.everything));
  });
  afterEach(async () => {
    await agent[Symbol.asyncDispose]();
    await applyPolicyVariant(stage, booted.home.folder, {});
  });

  /** A change of policy is pushed: the step goes red as soon as it is in force, and not before. */
  async function goesRed(step: () => Promise<unknown>, why: RegExp | string): Promise<void> {
    const outcome = (): Promise<string> => step().then(() => "held", String);
    await expect.poll(outcome, { timeout: 5_000 }).toMatch(why);
  }

  test("enrolled: an identity of another name", async () => {
    const { sallyport, network } = stage;
    const step = enrolled({
      sallyport,
      agentName: cast.demoAgent,
      trustDomain: network.trustDomain,
      certificatePath: join(booted.home.profilesFolder, cast.demoAgent, "svid.pem"),
      createToken: () => createToken(network, cast.stranger),
    });
    await expect(step).rejects.toThrow(/names .*stranger/);
    await welcomeBack(stage);
  });

  test("enrolled: a token that nobody gave out", async () => {
    const { sallyport, network } = stage;
    const step = enrolled({
      sallyport,
      agentName: cast.demoAgent,
      trustDomain: network.trustDomain,
      certificatePath: join(booted.home.profilesFolder, cast.demoAgent, "svid.pem"),
      createToken: async (name) => `${(await createToken(network, name)).slice(0, -4)}AAAA`,
    });
    await expect(step).rejects.toThrow("the token was refused");
  });

  test("tools-listed: a rule too many", async () => {
    await applyPolicyVariant(stage, booted.home.folder, {
      add: `@id("too-many") permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"everything/get-tiny-image");`,
    });
    await goesRed(
      () => toolsListed({ ...onEverything, agent, callable: callableTools, offered: 99 }),
      "get-tiny-image",
    );
  });

  test("allowed-call: a deny where an allow is expected", async () => {
    await applyPolicyVariant(stage, booted.home.folder, {
      add: `@id("no-sums") forbid (principal, action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"everything/get-sum");`,
    });
    const call = { ...onEverything, agent, tool: "get-sum", arguments: { a: 19, b: 23 }, answers: "42" };
    await goesRed(() => allowedCall(call), /get-sum/);
  });

  test("denied-tool: an allow where a deny is expected", async () => {
    await applyPolicyVariant(stage, booted.home.folder, {
      without: { "everything.cedar": rules.noEnvironment },
      add: `@id("leak") permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"everything/get-env");`,
    });
    await goesRed(
      () => deniedTool({ ...onEverything, agent, tool: "get-env", rule: rules.noEnvironment }),
      "get-env answered",
    );
  });

  test("denied-argument: an allow where a deny is expected", async () => {
    await using files = await Agent.connect(throughSallyport(stage.sallyport, cast.demoAgent, services.files));
    await applyPolicyVariant(stage, booted.home.folder, {
      add: `@id("leak") permit (principal in Sallyport::Role::"reader", action == Sallyport::Action::"callTool", resource == Sallyport::Tool::"files/read_text_file");`,
    });
    const call = {
      agentName: cast.demoAgent,
      service: services.files,
      agent: files,
      tool: "read_text_file",
      arguments: { path: "payroll/salaries.csv" },
      rule: rules.handbookOnly,
    };
    await goesRed(() => deniedArgument(call), "was not refused, it answered: name,salary");
  });

  test("unreachable-service: an agent that is let in", async () => {
    const { sallyport } = stage;
    const step = unreachableService({ sallyport, agentName: cast.demoAgent, service: services.everything });
    await expect(step).rejects.toThrow("demo-agent reached everything");
  });

  test("unreachable-service: a failure that is not policy's", async () => {
    const { sallyport } = stage;
    const step = unreachableService({ sallyport, agentName: "nobody-enrolled", service: services.everything });
    await expect(step).rejects.toThrow("for another reason than policy");
  });

  test("revoked: a revocation that hits somebody else, so that the cut does not happen", async () => {
    const { sallyport } = stage;
    const step = revoked({ ...onEverything, sallyport, agent, subject: "nobody" });
    await expect(step).rejects.toThrow("it did not come to pass in 5000 ms that the revocation cut the stream");
  });

  test("audited: a row of something that did not happen", async () => {
    const { audit } = stage.network.admin;
    const row = {
      what: "a call of get-tiny-image",
      fields: { kind: "call.finished", tool: "get-tiny-image" },
    };
    const step = audited({
      search: (request) => audit.search(request),
      rows: [row],
      sinceUnixMs: 0,
      patienceMs: 1_000,
    });
    await expect(step).rejects.toThrow("not on record: a call of get-tiny-image");
  });

  test("audited: a record that loses one row", async () => {
    const { audit } = stage.network.admin;
    const row = {
      what: "the denials",
      fields: { kind: "call.refused", tool: "get-env", decision: "deny" },
    };
    const search = (request: Parameters<typeof audit.search>[0]): ReturnType<typeof audit.search> =>
      audit.search(request);
    await expect(audited({ search, rows: [row], sinceUnixMs: 0 })).resolves.toMatchObject({ facts: { rows: 1 } });
    const losing: typeof search = async (request) => {
      const { events } = await search(request);
      return { events: events.filter(({ kind }) => kind !== "call.refused") };
    };
    const step = audited({ search: losing, rows: [row], sinceUnixMs: 0, patienceMs: 500 });
    await expect(step).rejects.toThrow("not on record: the denials");
  });

  test("dark: a hosted server that does listen", async () => {
    await stage.hosts.everything[Symbol.asyncDispose]();
    await using host = stage.sallyport.start([
      "host",
      services.everything,
      "--profile",
      cast.everythingHost,
      "--mcp",
      "--",
      process.execPath,
      join(import.meta.dirname, "listening-server.js"),
      ...everythingServer().args,
    ]);
    const connected = (): Promise<Agent> =>
      Agent.connect(throughSallyport(stage.sallyport, cast.demoAgent, services.everything));
    const open: Agent[] = [];
    await expect.poll(async () => open.push(await connected()), { timeout: 15_000 }).toBe(1);
    await expect(dark([{ service: "everything", pid: host.pid }])).rejects.toThrow(/listens on tcp 127\.0\.0\.1:\d+/);
    await open[0]?.[Symbol.asyncDispose]();
  });
});
