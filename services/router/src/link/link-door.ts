/**
 * Who gets a link, at either end of it.
 *
 *   1. Who is there comes from the handshake: a router of the own trust domain that the deny-list does not name, and nothing else gets a link.
 *   2. Nobody is admitted while it is not known whom the deny-list names.
 *   3. Whoever is turned away is on record, a flood of them as a count.
 */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { WireCode } from "@sallyport/frame";
import type { SvidSource } from "@sallyport/identity";
import { MtlsError, connectMtls, createMtlsServer, type MtlsServer, type Peer } from "@sallyport/mtls";
import type { PolicyState } from "@sallyport/policy-engine";
import { ownParty } from "../domain/party.ts";
import { linkRefused, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { linkAlpn } from "../public-port/public-port.ts";
import { TokenBucket } from "../public-port/token-bucket.ts";
import { turnAway } from "../public-port/turn-away.ts";

export interface LinkDoorOptions {
  readonly identity: SvidSource;
  readonly policy: PolicyState;
  readonly record: Record;
  readonly limits: Pick<RouterLimits, "handshakeMs" | "recordedRefusalsPerSecond">;
  /** Whether one more link to that router is within the bounds. */
  readonly hasRoom: (routerId: string) => boolean;
  readonly draining: () => boolean;
}

export type Direction = "dialed" | "accepted";

/** A router whose handshake is done and whom nothing speaks against. */
export interface ProvenRouter {
  readonly socket: TLSSocket;
  readonly peer: Peer;
  readonly direction: Direction;
  readonly remoteAddress: string;
}

interface Refused {
  readonly code: string;
  readonly reason: string;
  readonly wireCode: number;
}

export class LinkDoor implements AsyncDisposable {
  readonly #options: LinkDoorOptions;
  readonly #ownId: string;
  readonly #mtls: MtlsServer;
  readonly #recordable: TokenBucket;
  #unrecorded = 0;

  constructor(options: LinkDoorOptions) {
    this.#options = options;
    const { identity, limits } = options;
    this.#ownId = identity.current().identity.id.uri;
    this.#mtls = createMtlsServer({
      identity,
      alpn: [linkAlpn],
      clientCertificate: "required",
      handshakeTimeoutMs: limits.handshakeMs,
    });
    const perSecond = limits.recordedRefusalsPerSecond;
    this.#recordable = new TokenBucket({ perSecond, burst: perSecond });
  }

  /** Whoever came in; null when it was turned away. `deadline` ends the handshake. */
  async accept(carrier: Socket, deadline: AbortSignal): Promise<ProvenRouter | null> {
    const remoteAddress = carrier.remoteAddress ?? "";
    try {
      const { socket, peer } = await this.#mtls.accept(carrier, deadline);
      if (peer === null) {
        socket.destroy();
        return null;
      }
      const proven: ProvenRouter = { socket, peer, direction: "accepted", remoteAddress };
      return this.#turnedAway(proven) === null ? proven : null;
    } catch (error) {
      const code = error instanceof MtlsError ? error.code : "HANDSHAKE_TIMEOUT";
      this.#recordRefused(remoteAddress, null, code, error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  /** Rejects with why there is no link. */
  async connect(routerId: string, address: string, signal: AbortSignal): Promise<ProvenRouter> {
    const { identity, limits } = this.#options;
    const { socket, peer } = await connectMtls({
      carrier: hostPortOf(address),
      identity,
      trust: identity.bundle(),
      alpn: linkAlpn,
      expect: ({ kind, id }) => kind === "router" && id.uri === routerId,
      handshakeTimeoutMs: limits.handshakeMs,
      signal,
    });
    const proven: ProvenRouter = { socket, peer, direction: "dialed", remoteAddress: address };
    const refused = this.#turnedAway(proven);
    if (refused !== null) throw new Error(refused.reason);
    return proven;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mtls[Symbol.asyncDispose]();
  }

  #turnedAway({ socket, peer, direction, remoteAddress }: ProvenRouter): Refused | null {
    const refused = this.#refusedBecause(peer, direction);
    if (refused === null) return null;
    this.#recordRefused(remoteAddress, peer, refused.code, refused.reason);
    turnAway(socket, refused.wireCode);
    return refused;
  }

  /** 1, 2 */
  #refusedBecause(peer: Peer, direction: Direction): Refused | null {
    const { policy, hasRoom, draining } = this.#options;
    const { identity } = peer;
    const { uri } = identity.id;
    if (identity.kind !== "router")
      return refused("IDENTITY_DENIED", `A ${identity.kind} has no links.`, WireCode.revoked);
    if (uri === this.#ownId)
      return refused("IDENTITY_DENIED", "Another process has this router's name.", WireCode.protocol);
    if (direction === "accepted" && this.#ownId < uri)
      return refused("PROTOCOL", "Of these two routers this one dials.", WireCode.protocol);
    if (draining()) return refused("DRAINING", "This router is going away.", WireCode.unavailable);
    const freshness = policy.freshness();
    if (freshness.kind !== "fresh") return refused("HEAD_STALE", freshness.reason, WireCode.unavailable);
    const entry = policy.denied(ownParty(peer));
    if (entry !== null) {
      const why = entry.reason === "" ? "" : `: ${entry.reason}`;
      return refused("IDENTITY_DENIED", `On the deny-list${why}`, WireCode.revoked);
    }
    return hasRoom(uri) ? null : refused("OVERLOADED", "Too many links.", WireCode.limit);
  }

  /** 3 */
  #recordRefused(remoteAddress: string, peer: Peer | null, code: string, reason: string): void {
    if (!this.#recordable.take()) {
      this.#unrecorded += 1;
      return;
    }
    const unrecorded = this.#unrecorded;
    this.#unrecorded = 0;
    this.#options.record(linkRefused({ remoteAddress, peer, code, reason, unrecorded }));
  }
}

function refused(code: string, reason: string, wireCode: number): Refused {
  return { code, reason, wireCode };
}

function hostPortOf(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}
