import { connect, type Socket } from "node:net";
import { CachedHealth, down, up, type HostHealth } from "../../connector/host-health.ts";

export interface TargetAddress {
  readonly host: string;
  readonly port: number;
}

const connectTimeoutMs = 5_000;
const probeTimeoutMs = 2_000;
/** What a turn of the event loop brings is written at once (`join`). */
const writeAheadBytes = 262_144;

/** A TCP server that this machine reaches. What a circuit's connection shows of it counts as a probe. */
export class TcpTarget {
  readonly #address: TargetAddress;
  readonly #health: CachedHealth;

  constructor(address: TargetAddress) {
    this.#address = address;
    this.#health = new CachedHealth(async () => {
      (await this.#connect(probeTimeoutMs)).destroy();
      return up;
    });
  }

  /** Throws when it takes no connection. */
  async connect(): Promise<Socket> {
    try {
      const socket = await this.#connect(connectTimeoutMs);
      this.#health.learn(up);
      return socket;
    } catch (error) {
      this.#health.learn(down(error instanceof Error ? error.message : String(error)));
      throw error;
    }
  }

  /** Whether it takes a connection, looked at again after a second at the earliest. */
  async health(): Promise<HostHealth> {
    return await this.#health.ask();
  }

  #connect(timeoutMs: number): Promise<Socket> {
    // A variable, since the types of `connect` do not know the option that its socket takes.
    const options = { ...this.#address, allowHalfOpen: true, noDelay: true, highWaterMark: writeAheadBytes };
    const socket = connect(options);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      socket.once("connect", () => {
        clearTimeout(timer);
        resolve(socket);
      });
      socket.once("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
    });
  }
}
