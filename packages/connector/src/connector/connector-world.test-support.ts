import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { workloadId } from "@sallyport/identity";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { profilePaths, type BaseFolders } from "../profile/profile-paths.ts";
import { saveProfile } from "../profile/profile-store.ts";
import type { Profile } from "../profile/profile.ts";
import { reachRules, TestPolicy } from "../test-policy.test-support.ts";
import { Connector } from "./connector.ts";
import type { ConnectorLog } from "./log.ts";
import { ScriptedRouter, type RouterScript } from "./scripted-router.test-support.ts";

/** One router or several, a policy, and profiles on disk for as many workloads as a test wants. */
export interface ConnectorWorld extends AsyncDisposable {
  readonly authority: TestAuthority;
  readonly policy: TestPolicy;
  readonly router: ScriptedRouter;
  /** `router`, and those of `more`. */
  readonly routers: readonly ScriptedRouter[];
  readonly folders: BaseFolders;
  readonly log: ConnectorLog & { readonly lines: string[] };
  profile(name: string, options?: { readonly ttlSeconds?: number; readonly now?: Date }): Promise<Profile>;
  connector(name: string): Promise<Connector>;
}

export async function connectorWorld(
  options: {
    readonly script?: RouterScript;
    /** Scripts of further routers, named r2 and so on. */
    readonly more?: readonly RouterScript[];
    readonly rules?: string;
    readonly protocol?: "mcp" | "tcp";
    readonly now?: () => number;
  } = {},
): Promise<ConnectorWorld> {
  const authority = await createTestAuthority();
  const policy = await TestPolicy.create(authority, reachRules + (options.rules ?? ""), options.protocol);
  const { more = [] } = options;
  const router = await ScriptedRouter.start(authority, policy, options.script);
  const others = more.map((script, index) =>
    ScriptedRouter.start(authority, policy, script, { name: `r${index + 2}` }),
  );
  const routers = [router, ...(await Promise.all(others))];
  const root = await mkdtemp(join(tmpdir(), "connector-test-"));
  const folders: BaseFolders = {
    configHome: join(root, "config"),
    dataHome: join(root, "data"),
    stateHome: join(root, "state"),
  };
  const log = memoryLog();
  const connectors: Connector[] = [];
  const world: ConnectorWorld = {
    authority,
    policy,
    router,
    routers,
    folders,
    log,
    profile: async (name, life) => {
      const svid = await authority.issue(workloadId(authority.trustDomain, name, "1"), life);
      const paths = profilePaths(folders, name);
      const profile = {
        name,
        folders,
        paths,
        routers: routers.map(({ address }) => address),
        generation: 1,
        svid,
        bundle: authority.bundle,
      };
      await saveProfile(profile);
      return profile;
    },
    connector: async (name) => {
      const connector = await Connector.open({
        profile: await world.profile(name),
        log,
        ...(options.now === undefined ? {} : { now: options.now }),
      });
      connectors.push(connector);
      return connector;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(connectors.map((connector) => connector[Symbol.asyncDispose]()));
      await Promise.all(routers.map((one) => one[Symbol.asyncDispose]()));
      await rm(root, { recursive: true, force: true });
    },
  };
  return world;
}

function memoryLog(): ConnectorLog & { readonly lines: string[] } {
  const lines: string[] = [];
  const write = (facts: object, message: string): void => void lines.push(`${message} ${JSON.stringify(facts)}`);
  return { lines, debug: write, info: write, warn: write };
}
