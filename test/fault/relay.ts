/**
 * A TCP relay in user space that can fail as networks do: it stops forwarding without a word to either end, which is what a peer that lost its
 * power, a pulled cable or a firewall that forgot a connection look like. No FIN, no RST, no ICMP.
 */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export class Relay implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #target: () => Promise<HostPort>;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isForwarding = true;

  private constructor(server: Server, address: string, target: () => Promise<HostPort>) {
    this.#server = server;
    this.address = address;
    this.#target = target;
    server.on("connection", (socket) => void this.#join(socket));
  }

  /** @param target asked at each connection. */
  static async listen(target: () => Promise<HostPort>): Promise<Relay> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address() as AddressInfo;
    return new Relay(server, `127.0.0.1:${address.port}`, target);
  }

  /** From now on nothing passes: not on what is connected, not on what connects. */
  blackhole(): void {
    this.#isForwarding = false;
    for (const [near, far] of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  /** Connections made from now on pass. Those that were swallowed stay so, until an end gives them up. */
  heal(): void {
    this.#isForwarding = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  async #join(near: Socket): Promise<void> {
    near.on("error", () => undefined);
    if (!this.#isForwarding) {
      // Taken, and never heard of again.
      this.#pairs.add([near, near]);
      return;
    }
    const far = connect({ ...(await this.#target()), allowHalfOpen: true });
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.setNoDelay(true);
      from.pipe(to);
      from.once("error", () => to.resetAndDestroy());
      from.once("close", () => this.#pairs.delete(pair));
    }
    near.resume();
  }
}
