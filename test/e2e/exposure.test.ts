/** What a running network shows to those who look: ports, process lists, logs, records, files. */
import { createPrivateKey } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import {
  Agent,
  cast,
  createToken,
  enroll,
  services,
  type Stage,
  stepNames,
  surveySockets,
  tellStory,
  throughSallyport,
} from "@sallyport/first-light";
import { beforeAll, describe, expect, test } from "vitest";
import { openTestStage, type TestStage } from "../network/test-stage.ts";

let booted: TestStage;
let stage: Stage;

beforeAll(async () => {
  booted = await openTestStage();
  stage = booted.stage;
  return () => booted[Symbol.asyncDispose]();
});

/** Every regular file below a folder. */
async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Files whose bytes contain the text. */
async function filesWith(folder: string, text: string): Promise<readonly string[]> {
  const files = await filesBelow(folder);
  expect(files.length).toBeGreaterThan(10);
  const found: string[] = [];
  for (const file of files) {
    const bytes = await readFile(file).catch(() => Buffer.alloc(0));
    if (bytes.includes(text)) found.push(relative(folder, file));
  }
  return found;
}

test("every listening port of the network is on loopback", async () => {
  const processes = await surveySockets([
    ...Object.values(stage.network.pids),
    stage.hosts.everything.pid,
    stage.hosts.files.pid,
  ]);
  expect(processes.length).toBeGreaterThan(8);
  const listening = processes.flatMap(({ sockets }) => sockets).filter(({ listens }) => listens);
  expect(listening.length).toBeGreaterThan(5);
  expect(listening.filter(({ address }) => !address.startsWith("127."))).toEqual([]);
});

test("a token's secret shows up neither in process lists, nor in files, nor in the record", async () => {
  const { network, sallyport } = stage;
  const token = await createToken(network, cast.demoAgent);
  const secret = token.slice(token.lastIndexOf(".") + 1);
  expect(secret.length).toBeGreaterThanOrEqual(43);
  const commandLines: string[] = [];
  const enrolling = enroll(sallyport, cast.demoAgent, token);
  let ended = false;
  void enrolling.finally(() => (ended = true));
  while (!ended) {
    for (const { command } of await surveySockets([process.pid])) commandLines.push(command);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await enrolling).status).toBe(0);
  expect(commandLines.filter((line) => line.includes("enroll")).length).toBeGreaterThan(0);
  expect(commandLines.filter((line) => line.includes(secret))).toEqual([]);
  expect(await filesWith(booted.home.folder, secret)).toEqual([]);
  // Refused, for it is used up: an error is a place where secrets end up too.
  const refused = await enroll(sallyport, "thief", token);
  expect(refused.status).not.toBe(0);
  expect(refused.stdout + refused.stderr).not.toContain(secret);
  const { events } = await network.admin.audit.search({ filter: undefined, limit: 1_000 });
  expect(events.length).toBeGreaterThan(0);
  expect(JSON.stringify(events)).not.toContain(secret);
});

test("no private key lies in the clear, and none opens without the key that lies elsewhere", async () => {
  const { stateDir, keyDir, profilesFolder } = booted.home;
  expect(relative(stateDir, keyDir).startsWith("..")).toBe(true);
  expect(await filesWith(booted.home.folder, "BEGIN PRIVATE KEY")).toEqual([]);
  expect(await filesWith(booted.home.folder, "BEGIN EC PRIVATE KEY")).toEqual([]);
  const mentioned = await filesWith(booted.home.folder, "BEGIN ENCRYPTED PRIVATE KEY");
  const sealed = mentioned.filter((file) => file.endsWith(".pem"));
  // CA: root, intermediate, bootstrap; seven bootstrap credentials; three profiles.
  expect(sealed.length).toBeGreaterThanOrEqual(10);
  expect(sealed.filter((file) => file.startsWith("data"))).toEqual([]);
  for (const file of sealed) {
    const pem = await readFile(join(booted.home.folder, file), "utf8");
    expect(() => createPrivateKey(pem)).toThrow(/interrupted or cancelled/);
    expect(() => createPrivateKey({ key: pem, passphrase: "" })).toThrow(/bad decrypt/);
  }
  for (const folder of [stateDir, profilesFolder]) {
    for (const keyFile of await filesBelow(keyDir)) {
      const text = (await readFile(keyFile, "utf8")).trim();
      expect(text.length).toBeGreaterThanOrEqual(43);
      expect(await filesWith(folder, text)).toEqual([]);
    }
  }
});

test("the hosted server sees nothing of the connector's environment", async () => {
  // The server's own tool that shows its environment is forbidden: ask the kernel instead.
  await using _agent = await agentOf(cast.demoAgent);
  const processes = await surveySockets([stage.hosts.everything.pid]);
  const server = processes.find(
    ({ command }) => command.includes("server-everything") && !command.includes("packages/cli/"),
  );
  expect(server).toBeDefined();
  const environment = await readFile(`/proc/${server?.pid ?? 0}/environ`, "utf8");
  const names = environment.split("\0").map((entry) => entry.slice(0, entry.indexOf("=")));
  expect(names.filter((name) => /SALLYPORT|XDG|TOKEN|KEY|SECRET/.test(name))).toEqual([]);
});

async function agentOf(profile: string): Promise<Agent> {
  await enroll(stage.sallyport, profile, await createToken(stage.network, profile));
  return Agent.connect(throughSallyport(stage.sallyport, profile, services.everything));
}

describe("two networks on one machine", () => {
  let other: TestStage;

  beforeAll(async () => {
    other = await openTestStage();
    return () => other[Symbol.asyncDispose]();
  });

  test("share neither processes nor addresses, and do not disturb each other's story", async () => {
    const pids = Object.values(stage.network.pids);
    expect(Object.values(other.stage.network.pids).filter((pid) => pids.includes(pid))).toEqual([]);
    expect(other.stage.network.routerAddress).not.toBe(stage.network.routerAddress);
    expect(await Promise.all([tell(booted), tell(other)])).toEqual([wholeStory, wholeStory]);
  });

  test("a token of one is worth nothing in the other", async () => {
    const [version, , secret] = (await createToken(other.stage.network, cast.demoAgent)).split(".");
    const [, address] = (await createToken(stage.network, cast.demoAgent)).split(".");
    // The foreign network's secret, dressed up with this one's address, root and token id.
    const ran = await enroll(stage.sallyport, "forger", [version, address, secret].join("."));
    expect(ran.status).not.toBe(0);
    expect(ran.stderr).toContain("TOKEN_UNKNOWN");
  });
});

const wholeStory = stepNames.map((step) => `${step} held`);

async function tell({ stage: told, home }: TestStage): Promise<readonly string[]> {
  const steps: string[] = [];
  for await (const report of tellStory({ stage: told, profilesFolder: home.profilesFolder })) {
    steps.push(`${report.step} ${report.kind === "held" ? "held" : report.error.message}`);
  }
  return steps;
}
