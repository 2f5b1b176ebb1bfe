import type { PolicyDocument, SignedEnvelope } from "@sallyport/proto/policy";
import { createTestAuthority, type TestAuthority } from "@sallyport/testing";
import { expect } from "vitest";
import type { KnownRouter } from "../link/links.ts";
import { PolicyAuthor } from "./policy-author.ts";
import { RouterNetwork, reachPolicy, type RouterNetworkOptions } from "./router-network.ts";

/** Several routers of one trust domain, with one policy. Who tells them of each other is the test, as the bus would. */
export class RouterMesh implements AsyncDisposable {
  readonly authority: TestAuthority;
  readonly author: PolicyAuthor;
  readonly #networks: RouterNetwork[] = [];
  #policy: readonly SignedEnvelope[];

  private constructor(authority: TestAuthority, author: PolicyAuthor, policy: readonly SignedEnvelope[]) {
    this.authority = authority;
    this.author = author;
    this.#policy = policy;
  }

  /** Routers `1` and `2`, who know each other and have a link. */
  static async pair(
    options: RouterNetworkOptions = {},
  ): Promise<{ mesh: RouterMesh; one: RouterNetwork; two: RouterNetwork }> {
    const mesh = await RouterMesh.open();
    const one = await mesh.add({ ...options, name: "1" });
    const two = await mesh.add({ ...options, name: "2" });
    await mesh.meet();
    return { mesh, one, two };
  }

  static async open(policy: PolicyDocument = reachPolicy): Promise<RouterMesh> {
    const authority = await createTestAuthority();
    const author = await PolicyAuthor.create(authority);
    return new RouterMesh(authority, author, author.publish(policy));
  }

  /** @param options `withoutPolicy`: it has not heard of any yet. */
  async add(
    options: RouterNetworkOptions & { readonly name: string; readonly withoutPolicy?: boolean },
  ): Promise<RouterNetwork> {
    const { authority, author } = this;
    const { withoutPolicy = false, ...rest } = options;
    const network = await RouterNetwork.start({ ...rest, authority, author, policy: null });
    if (!withoutPolicy) this.catchUp(network);
    this.#networks.push(network);
    return network;
  }

  catchUp(network: RouterNetwork): void {
    network.apply(this.#policy);
  }

  /** On the bus, and so at every router. */
  apply(envelopes: readonly SignedEnvelope[]): void {
    this.#policy = [...this.#policy, ...envelopes];
    for (const network of this.#networks) network.apply(envelopes);
  }

  /** Each router hears of all others. Resolves when every link is up. */
  async meet(): Promise<void> {
    for (const network of this.#networks)
      for (const other of this.#networks) network.router.links.learn(presenceOf(other));
    for (const network of this.#networks) await linked(network, this.#networks.length - 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const network of this.#networks) await network[Symbol.asyncDispose]();
  }
}

export function presenceOf(network: RouterNetwork): KnownRouter {
  const { routerId: id, epoch, linkAddress } = network.router;
  return { routerId: id, epoch, linkAddress: `${linkAddress.host}:${linkAddress.port}` };
}

/** Resolves when so many links of a router are up. */
export async function linked(network: RouterNetwork, count: number): Promise<void> {
  const up = (): number => network.router.links.routers.filter(({ state }) => state.kind === "up").length;
  await expect.poll(up, { timeout: 10_000, interval: 10 }).toBe(count);
}

/** Resolves when a router knows so many hosts of a service, behind links or not. */
export async function hostsKnown(network: RouterNetwork, service: string, count: number): Promise<void> {
  const known = (): number => network.router.switchboard.hosts.of(service).length;
  await expect.poll(known, { timeout: 10_000, interval: 10 }).toBe(count);
}
