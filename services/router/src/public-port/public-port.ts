/**
 * The one port that faces the network. What a connection may cost before it has proven an identity:
 *   1. a place: per source and in total, by a ticket held until the identity is proven or the connection is gone;
 *   2. time: first byte within `firstByteMs`, identity within `handshakeMs`;
 *   3. memory: a ClientHello of at most 16 KiB;
 *   4. CPU: a handshake starts only within the budget of the event loop.
 * The ALPN of the ClientHello only chooses the handler. Whoever offers none of ours is closed without an answer.
 */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { RouterError } from "../errors.ts";
import { HandshakeBudget } from "./handshake-budget.ts";
import { readClientHello } from "./read-client-hello.ts";
import { SourceAdmission, sourceKey } from "./source-admission.ts";
import type { RouterLimits } from "../limits.ts";

export const tunnelAlpn = "sallyport/1";
export const linkAlpn = "sallyport-link/1";
const enrollmentAlpn = "sallyport-enroll/1";

/** Proves who is there. Resolves when that is done or failed; the ticket ends then. `deadline` ends the handshake. */
type Prove = (socket: Socket, deadline: AbortSignal) => Promise<void>;

/** Who takes a connection, by its ALPN; null where this port does not speak that. */
export interface PublicPortHandlers {
  readonly tunnel: Prove | null;
  /** Another router. The budget of handshakes holds for it too; the load of the event loop does not, since it may be the way out of it. */
  readonly link: Prove | null;
  /** Resolves when the connection is gone, or with why it has no place. */
  readonly enrollment: ((socket: Socket) => Promise<string | null>) | null;
  /** The event loop is too late for another handshake. */
  readonly overloaded: () => boolean;
  /** `reason` is of a closed, small set: it may be counted by. */
  readonly refused: (remoteAddress: string, reason: string) => void;
}

export interface ListenOn {
  readonly host: string;
  readonly port: number;
  /** Several processes may listen there; the kernel deals connections out among them. */
  readonly reusePort: boolean;
}

export class PublicPort implements AsyncDisposable {
  readonly #server: Server;
  readonly #admission: SourceAdmission;
  readonly #budget: HandshakeBudget;
  readonly #limits: RouterLimits;
  readonly #handlers: PublicPortHandlers;
  readonly #unproven = new Set<Socket>();

  constructor(limits: RouterLimits, handlers: PublicPortHandlers) {
    this.#limits = limits;
    this.#handlers = handlers;
    this.#admission = new SourceAdmission(limits);
    this.#budget = new HandshakeBudget({
      perSecond: limits.handshakesPerSecond,
      burst: limits.handshakeBurst,
      maxWaiting: limits.maxWaitingHandshakes,
    });
    this.#server = createServer(
      { pauseOnConnect: true, noDelay: true, keepAlive: true },
      (socket) => void this.#connection(socket),
    );
  }

  get unproven(): number {
    return this.#admission.unproven;
  }

  /** @param setting what names the address, for whoever has to choose another */
  async listen({ host, port, reusePort }: ListenOn, setting: string): Promise<AddressInfo> {
    this.#server.listen({ host, port, reusePort, backlog: 1_024 });
    try {
      await once(this.#server, "listening");
    } catch (cause) {
      throw new RouterError("LISTEN_FAILED", `cannot listen on ${host}:${port}`, {
        cause,
        remedy: `choose another ${setting}`,
      });
    }
    const address = this.#server.address();
    if (address === null || typeof address === "string")
      throw new RouterError("LISTEN_FAILED", "the port has no address");
    return address;
  }

  async #connection(socket: Socket): Promise<void> {
    socket.on("error", ignore);
    const source = socket.remoteAddress ?? "";
    const admission = this.#admission.admit(source);
    if (admission.kind === "refused") return this.#refuse(socket, source, admission.reason);
    using _ticket = admission.ticket;
    this.#unproven.add(socket);
    try {
      const deadline = AbortSignal.timeout(this.#limits.handshakeMs);
      const flight = await readClientHello(socket, this.#limits.firstByteMs, deadline);
      if (flight.kind === "refused") return this.#refuse(socket, source, flight.reason);
      await this.#route(socket, source, flight.alpn, deadline);
    } finally {
      this.#unproven.delete(socket);
    }
  }

  async #route(socket: Socket, source: string, alpn: readonly string[], deadline: AbortSignal): Promise<void> {
    const { tunnel, link, enrollment, overloaded } = this.#handlers;
    const known = new Map<string, Prove | null>([
      [tunnelAlpn, tunnel],
      [linkAlpn, link],
      [enrollmentAlpn, enrollment === null ? null : (socket) => this.#enroll(socket, source, enrollment)],
    ]);
    const wanted = alpn.find((name) => known.get(name) != null);
    const handle = wanted === undefined ? null : known.get(wanted);
    if (handle == null) return this.#refuse(socket, source, "no protocol of ours");
    if (wanted === tunnelAlpn && overloaded()) return this.#refuse(socket, source, "overloaded");
    if (wanted !== enrollmentAlpn && !(await this.#budget.take(sourceKey(source), deadline)))
      return this.#refuse(socket, source, "handshake budget");
    await handle(socket, deadline);
  }

  async #enroll(
    socket: Socket,
    source: string,
    enrollment: NonNullable<PublicPortHandlers["enrollment"]>,
  ): Promise<void> {
    const refused = await enrollment(socket);
    if (refused !== null) this.#refuse(socket, source, refused);
  }

  #refuse(socket: Socket, source: string, reason: string): void {
    socket.resetAndDestroy();
    this.#handlers.refused(source, reason);
  }

  /** Takes nothing new; connections that are not proven yet are gone, tunnels stay. */
  stopListening(): void {
    this.#server.close();
    for (const socket of this.#unproven) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.stopListening();
  }
}

function ignore(): void {
  // A connection that breaks before it proved anything is ordinary on a public port.
}
