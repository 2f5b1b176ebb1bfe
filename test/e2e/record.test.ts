/** The record as an analyst reads it: what happened on a whole constellation, read back by search. */
import { inspect } from "node:util";
import { Agent, cast, createToken, enroll, services, throughSallyport, type Stage } from "@sallyport/first-light";
import { type Event, Filter } from "@sallyport/proto/audit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openTestStage, type TestStage } from "../network/test-stage.ts";

/** In the arguments of a call under names, beside names and inside texts. */
const secret = "hunter2-hunter2";
const secretArguments = {
  message: "hello",
  password: secret,
  headers: [{ name: "Authorization", value: secret }],
  command: `curl --password ${secret} https://db/?api_key=${secret}`,
};
const uuidV7 = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

let booted: TestStage;
let stage: Stage;
/** Everything that clients were shown when something was refused. */
const shown: string[] = [];
let tokenId = "";
let events: readonly Event[] = [];

beforeAll(async () => {
  booted = await openTestStage();
  stage = booted.stage;
  await enrollments();
  await calls();
  await strangers();
  await cut();
  await vi.waitFor(
    async () => {
      events = await search({});
      expect(events.filter(isCut)).toHaveLength(3);
    },
    { timeout: 15_000, interval: 200 },
  );
});

afterAll(async () => {
  await booted?.[Symbol.asyncDispose]();
});

/** One that succeeds, one with the spent token, one with a secret that is not the token's. */
async function enrollments(): Promise<void> {
  const token = await createToken(stage.network, cast.demoAgent);
  tokenId =
    (await stage.network.admin.enrollment.listTokens({})).tokens.find(({ workload }) => workload === cast.demoAgent)
      ?.tokenId ?? "";
  const forged = token.replace(/[^.]+$/, "A".repeat(43));
  expect((await enroll(stage.sallyport, cast.demoAgent, token)).status).toBe(0);
  expect((await enroll(stage.sallyport, "thief", token)).status).not.toBe(0);
  expect((await enroll(stage.sallyport, "thief", forged)).status).not.toBe(0);
}

async function calls(): Promise<void> {
  await using agent = await Agent.connect(throughSallyport(stage.sallyport, cast.demoAgent, services.everything));
  await agent.call("echo", secretArguments);
  await agent.call("get-sum", { a: 19, b: 23 });
  const { text, meta } = await agent.call("get-sum", { a: 1_900, b: 23 });
  shown.push(text, JSON.stringify(meta));
  for (const tool of ["get-env", "no-such-tool"]) shown.push(await agent.call(tool, {}).then(String, inspect));
}

async function strangers(): Promise<void> {
  const { sallyport } = stage;
  shown.push(await Agent.connect(throughSallyport(sallyport, cast.stranger, services.files)).then(String, String));
  const host = ["host", services.files, "--profile", cast.stranger, "--tcp", "127.0.0.1:1"];
  shown.push((await sallyport.run(host)).stderr);
}

async function cut(): Promise<void> {
  await using agent = await Agent.connect(throughSallyport(stage.sallyport, cast.demoAgent, services.everything));
  const flowing = Promise.withResolvers<void>();
  const operation = { duration: 30, steps: 600 };
  const call = agent.call("trigger-long-running-operation", operation, {
    timeoutMs: 40_000,
    onProgress: () => flowing.resolve(),
  });
  await Promise.race([flowing.promise, call]);
  await stage.sallyport.succeed(["revoke", cast.demoAgent, "--reason", "drill"]);
  await call.catch(() => undefined);
}

/** What the router and the host put on record of the circuit that was cut; its dialer has no tunnel left to tell. */
function isCut(event: Event): boolean {
  return event.outcome === "revoked" && (event.kind === "circuit.closed" || event.kind === "call.finished");
}

async function search(filter: Partial<Filter>): Promise<readonly Event[]> {
  const found = await stage.network.admin.audit.search({ filter: Filter.fromPartial(filter), limit: 1_000 });
  return found.events.toReversed();
}

function kinds(of: readonly Event[]): readonly string[] {
  return of.map(({ vantage, kind, outcome }) => `${vantage} ${kind} ${outcome}`.trim()).toSorted();
}

test("a circuit is joined by its id over router, host and dialer, who agree on how it ended", () => {
  const ended = events.find(({ kind, outcome }) => kind === "circuit.closed" && outcome === "ok");
  const circuit = events.filter(({ circuitId }) => circuitId === ended?.circuitId);
  expect(kinds(circuit.filter(({ kind }) => kind.startsWith("circuit.")))).toEqual([
    "dialer circuit.closed ok",
    "dialer circuit.opened ok",
    "host circuit.closed ok",
    "host circuit.opened ok",
    "router circuit.closed ok",
    "router circuit.opened ok",
  ]);
  for (const event of circuit) {
    expect(event, `${event.vantage} ${event.kind}`).toMatchObject({
      actorId: expect.stringMatching(/\/workload\/demo-agent\//),
      actorName: cast.demoAgent,
      actorSerial: expect.stringMatching(/^[0-9a-f]{16,}$/),
      hostId: expect.stringMatching(/\/workload\/everything-host\//),
      service: services.everything,
    });
    const emitter = event.vantage === "router" ? "/router/" : event.vantage === "host" ? event.hostId : event.actorId;
    expect(event.emitterId).toContain(emitter);
    if (!event.kind.startsWith("circuit.")) continue;
    expect(event).toMatchObject({ decision: "allow", tlsGroup: "X25519MLKEM768", sliceVersion: 1 });
    expect(event.ruleIds.length).toBe(1);
  }
  const closed = circuit.filter(({ kind }) => kind === "circuit.closed");
  const [dialer, host] = ["dialer", "host"].map((vantage) => closed.find((event) => event.vantage === vantage));
  expect(dialer?.bytesSent).toBe(host?.bytesReceived);
  expect(dialer?.bytesReceived).toBe(host?.bytesSent);
});

test("every call that the host let start is finished once, also when its circuit was cut", () => {
  const started = events.filter(({ kind, vantage }) => kind === "call.started" && vantage === "host");
  expect(started.map(({ tool }) => tool)).toEqual(["echo", "get-sum", "trigger-long-running-operation"]);
  const outcomes = started.map(({ callId }) =>
    events.filter((event) => event.callId === callId && event.kind === "call.finished").map(({ outcome }) => outcome),
  );
  expect(outcomes).toEqual([["ok"], ["ok"], ["revoked"]]);
});

test("a call has arguments, hash, size, result, decision and time", () => {
  const finished = events.find(
    ({ kind, vantage, tool }) => kind === "call.finished" && vantage === "host" && tool === "get-sum",
  );
  expect(finished).toMatchObject({
    argumentsJson: '{"a":19,"b":23}',
    argumentsBytes: 15,
    argumentsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    resultPreview: expect.stringContaining("42"),
    resultSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    decision: "allow",
    ruleIds: ["reader-small-sums"],
    protocol: "mcp",
    method: "tools/call",
  });
  expect(finished?.durationUs).toBeGreaterThan(0);
});

test("a secret in arguments is nowhere in the record", () => {
  const echo = events.filter(({ tool }) => tool === "echo");
  expect(echo).toHaveLength(4);
  expect(JSON.stringify(events)).not.toContain(secret);
});

test("every decision that a client was shown is found by its id", async () => {
  const ids = [...new Set(shown.flatMap((text) => text.match(uuidV7) ?? []))];
  expect(ids.length, shown.join("\n")).toBeGreaterThanOrEqual(5);
  for (const decisionId of ids) {
    const found = await search({ decisionId });
    expect(
      found.some(({ decision, reason }) => decision === "deny" && reason !== ""),
      decisionId,
    ).toBe(true);
  }
});

test("a refused enrollment says whose token it was, and that its secret was wrong", async () => {
  const refused = await search({ kind: "enrollment.refused", text: tokenId });
  expect(refused.map(({ errorCode, attributes }) => [errorCode, attributes])).toEqual([
    ["TOKEN_ALREADY_USED", { token: tokenId, workload: cast.demoAgent }],
    ["TOKEN_UNKNOWN", { token: tokenId, workload: cast.demoAgent, secret: "wrong" }],
  ]);
});

describe("a revocation", () => {
  test("is found by whom it was about, and stands before what it cut", async () => {
    const [revoked] = await search({ kind: "identity.revoked", text: cast.demoAgent });
    expect(revoked).toMatchObject({ actorName: "local", reason: "drill", outcome: "ok" });
    const cuts = events.filter(isCut);
    expect(kinds(cuts)).toEqual([
      "host call.finished revoked",
      "host circuit.closed revoked",
      "router circuit.closed revoked",
    ]);
    for (const { timeUnixMs } of cuts) expect(timeUnixMs).toBeGreaterThanOrEqual(revoked?.timeUnixMs ?? Infinity);
  });
});
