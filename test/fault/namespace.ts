/** A network namespace, joined to this machine by a pair of virtual cards. It can be cut off as if its cable were pulled. Needs root and `ip`. */
import { execFile, execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { promisify } from "node:util";

const run = promisify(execFile);

export class Namespace implements AsyncDisposable {
  /** By which a process is started inside. */
  readonly command: readonly string[];
  /** This machine's address, as the namespace sees it. */
  readonly gateway: string;
  readonly #name: string;
  readonly #card: string;

  private constructor(id: number) {
    this.#name = `sallyport-${id}`;
    this.#card = `sp${id}`;
    this.command = ["ip", "netns", "exec", this.#name];
    this.gateway = `10.231.${id % 256}.1`;
  }

  /** Why there can be none here; undefined when there can. */
  static get unavailableBecause(): string | undefined {
    const name = `sallyport-probe-${process.pid}`;
    try {
      execFileSync("ip", ["netns", "add", name], { stdio: "ignore" });
      execFileSync("ip", ["netns", "del", name], { stdio: "ignore" });
      return undefined;
    } catch {
      return "no network namespaces: they need root and the command `ip`";
    }
  }

  static async create(): Promise<Namespace> {
    const namespace = new Namespace(randomInt(100_000, 1_000_000));
    await namespace.#make();
    return namespace;
  }

  /** From now on nothing passes, and nobody is told. */
  async cut(): Promise<void> {
    await run("ip", ["link", "set", this.#card, "down"]);
  }

  async rejoin(): Promise<void> {
    await run("ip", ["link", "set", this.#card, "up"]);
  }

  /** Takes the cards along. */
  async [Symbol.asyncDispose](): Promise<void> {
    await run("ip", ["netns", "del", this.#name]);
  }

  async #make(): Promise<void> {
    const inside = this.gateway.replace(/1$/, "2");
    await run("ip", ["netns", "add", this.#name]);
    await run("ip", ["link", "add", this.#card, "type", "veth", "peer", "name", "uplink", "netns", this.#name]);
    await run("ip", ["address", "add", `${this.gateway}/30`, "dev", this.#card]);
    await run("ip", ["link", "set", this.#card, "up"]);
    await run("ip", ["-n", this.#name, "address", "add", `${inside}/30`, "dev", "uplink"]);
    for (const card of ["lo", "uplink"]) await run("ip", ["-n", this.#name, "link", "set", card, "up"]);
  }
}
