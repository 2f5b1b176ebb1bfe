/**
 * A workload's side of the network: one profile, tunnels to two routers that keep themselves, circuits in both directions.
 *
 * 1. Every decision is taken by this process's own PolicyState, fed with what policy signed; the router is only compared with it.
 * 2. Offers to host are soft state of a tunnel: each new tunnel gets them again, and every open one has them all.
 * 3. Every circuit is on record at this end, whether it came to be or not, and how it ended.
 */
import { AuditEmitter, type EventInput } from "@sallyport/audit-log";
import type { Svid } from "@sallyport/identity";
import { createMtlsServer, type MtlsServer } from "@sallyport/mtls";
import type { PolicyState } from "@sallyport/policy-engine";
import type { Refusal } from "@sallyport/proto/tunnel";
import type { IncomingStream } from "@sallyport/tunnel";
import { CircuitWatch } from "../circuit/circuit-watch.ts";
import type { Circuit } from "../circuit/circuit.ts";
import { circuitAlpn } from "../circuit/open-circuit.ts";
import { proxyOf } from "../config.ts";
import { ConnectorError, refusalError } from "../errors.ts";
import type { Profile } from "../profile/profile.ts";
import { announce, announceAll, takeHostResult, withdraw } from "./announce.ts";
import { probeService, ProbeAnswers } from "./answer-probe.ts";
import { dialCircuit } from "./dial-circuit.ts";
import { circuitClosed, circuitOpened, circuitRefused } from "./events.ts";
import { up, type HostHealth } from "./host-health.ts";
import { checkedCost, precedences, type HostPrecedence } from "./host-preference.ts";
import { Hosting, type HostProtocol } from "./hosting.ts";
import { takeIncoming } from "./incoming-circuit.ts";
import { LieRecord } from "./lie-record.ts";
import { failure, type ConnectorLog } from "./log.ts";
import type { TunnelStatus } from "./tunnel-status.ts";
import { Uplink } from "./uplink.ts";

export interface ConnectorOptions {
  readonly profile: Profile;
  readonly log: ConnectorLog;
  /** For the first tunnel, in milliseconds. Default 10,000, then ROUTER_UNREACHABLE. 0: do not wait; it is tried on and on. */
  readonly connectTimeoutMs?: number;
  /**
   * The HTTP proxy on the way to routers: `http://[user:password@]host:port`, or null for none. Default: `SALLYPORT_PROXY`, then `HTTPS_PROXY`
   * with `NO_PROXY`.
   */
  readonly proxy?: string | null;
  /** Gives up waiting for the first tunnel. */
  readonly signal?: AbortSignal;
  /** By which policy's age is judged, in milliseconds since 1970. Default: the system's clock. */
  readonly now?: () => number;
}

export interface HostOptions {
  /** Circuits at once; further dials are refused with OVERLOADED. Default 64. */
  readonly maxCircuits?: number;
  /** Among hosts of one precedence that are up, a dial goes to the one of lower cost: a whole number to 65,535. Default 0. */
  readonly cost?: number;
  /** `required` is chosen before `default`, and `failed`, a standby, only while no other is up. Default `default`. */
  readonly precedence?: HostPrecedence;
  /** Whether a circuit that came now would be served: the answer to a router's probe. Default: always. */
  readonly health?: () => Promise<HostHealth>;
}

export interface DialOptions {
  readonly signal?: AbortSignal;
  /** For the record. Default `tcp`. */
  readonly protocol?: HostProtocol;
}

const dialTimeoutMs = 15_000;

export class Connector implements AsyncDisposable {
  readonly profile: Profile;
  readonly log: ConnectorLog;
  readonly #uplink: Uplink;
  readonly #audit: AuditEmitter;
  readonly #server: MtlsServer;
  readonly #watch: CircuitWatch;
  readonly #hostings: Map<string, Hosting>;
  readonly #probes: ProbeAnswers;
  readonly #closing: AbortController = new AbortController();
  readonly #forgetPolicy: () => void;
  #closed: Promise<void> | undefined;

  private constructor(options: ConnectorOptions, uplink: Uplink, audit: AuditEmitter, hostings: Map<string, Hosting>) {
    this.profile = options.profile;
    this.log = options.log;
    this.#uplink = uplink;
    this.#audit = audit;
    this.#hostings = hostings;
    this.#probes = new ProbeAnswers(hostings);
    this.#server = createMtlsServer({ identity: uplink.identity, alpn: [circuitAlpn], clientCertificate: "required" });
    this.#watch = new CircuitWatch(uplink.policy, uplink.identity);
    this.#forgetPolicy = uplink.policy.onChange(() => {
      for (const hosting of hostings.values()) this.#learnProtocol(hosting);
    });
  }

  /** Throws PROFILE_EXPIRED, PROXY_INVALID, PROXY_AUTH_REQUIRED, IDENTITY_REVOKED, ROUTER_UNREACHABLE. */
  static async open(options: ConnectorOptions): Promise<Connector> {
    const { profile, log, connectTimeoutMs = 10_000 } = options;
    requireAlive(profile);
    const opened: { connector?: Connector } = {};
    const hostings = new Map<string, Hosting>();
    const lies = new LieRecord((event) => opened.connector?.record(event));
    const uplink = new Uplink(profile, log, {
      proxy: proxyOf(options.proxy),
      onOpen: (incoming) => {
        // Nothing is announced before there is a connector.
        if (opened.connector !== undefined) void opened.connector.#onIncoming(incoming);
      },
      onControl: (message, over) => takeHostResult(message, over, hostings, log),
      onTunnel: (over) => announceAll(over, hostings),
      onReleased: (over) => {
        for (const hosting of hostings.values()) hosting.lost(over);
      },
      onLie: (lie) => lies.take(lie, hostings.size > 0 ? "host" : "dialer"),
      ...(options.now === undefined ? {} : { now: options.now }),
    });
    const audit = await AuditEmitter.open({
      spoolDir: profile.paths.spool,
      vantage: "dialer",
      identity: uplink.identity,
      publish: (block, signal) => uplink.publish(block, signal),
      onTrouble: (trouble) => log.warn(failure(trouble), "audit trouble"),
    });
    const connector = new Connector(options, uplink, audit, hostings);
    opened.connector = connector;
    try {
      if (connectTimeoutMs > 0) await uplink.current(withTimeout(connectTimeoutMs, options.signal));
      return connector;
    } catch (error) {
      await connector[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** This workload's identity just now. */
  get svid(): Svid {
    return this.#uplink.identity.current();
  }

  /** What this end knows of policy. */
  get policy(): PolicyState {
    return this.#uplink.policy;
  }

  /** The tunnels that are open, the one that dials prefer first. */
  get tunnels(): readonly TunnelStatus[] {
    return this.#uplink.tunnels;
  }

  /** Puts an event of an adapter on record. */
  record(event: EventInput): void {
    this.#audit.record(event);
  }

  /** Resolves when everything recorded so far is stored by the network. */
  async flushAudit(signal?: AbortSignal): Promise<void> {
    await this.#audit.flush(signal);
  }

  /** A circuit to a host of `service`. Throws DIAL_REFUSED, PEER_NOT_ALLOWED, PEER_MISMATCH, BINDING_MISMATCH, HANDSHAKE_FAILED, ROUTER_UNREACHABLE. */
  async dial(service: string, options: DialOptions = {}): Promise<Circuit> {
    const signal = AbortSignal.any([withTimeout(dialTimeoutMs, options.signal), this.#closing.signal]);
    try {
      const circuit = await dialCircuit(this.#uplink, service, signal);
      this.#adopt(circuit, options.protocol ?? "tcp");
      return circuit;
    } catch (error) {
      options.signal?.throwIfAborted();
      const why = dialFailure(service, error);
      const { protocol = "tcp" } = options;
      this.record(circuitRefused({ role: "dialer", service, protocol, own: this.svid }, why));
      throw why;
    }
  }

  /** Offers to host `service`; await `ready` of what it returns for the routers' answer. Throws ALREADY_HOSTED, COST_INVALID. */
  host(
    service: string,
    protocol: HostProtocol,
    onCircuit: (circuit: Circuit) => void,
    options: HostOptions = {},
  ): Hosting {
    if (this.#hostings.has(service)) {
      throw new ConnectorError({ code: "ALREADY_HOSTED", message: `This connector hosts ${service} already.` });
    }
    const { maxCircuits = 64, cost = 0, precedence = "default", health = async () => up } = options;
    const hosting = new Hosting({
      service,
      protocol,
      onCircuit,
      withdraw: () => this.#withdraw(service),
      maxCircuits,
      cost: checkedCost(cost),
      precedence: precedences[precedence],
      health,
    });
    this.#hostings.set(service, hosting);
    this.#uplink.want(service);
    this.#learnProtocol(hosting);
    // A tunnel that opens later announces it then.
    for (const over of this.#uplink.usable) announce(over, hosting);
    return hosting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort(new ConnectorError({ code: "CLOSED", message: "The connector is closed." }));
    await Promise.all([...this.#hostings.values()].map((hosting) => hosting[Symbol.asyncDispose]()));
    const circuits = this.#watch.circuits;
    for (const circuit of circuits) circuit.destroy();
    await Promise.all(circuits.map((circuit) => circuit.closedBy));
    this.#watch[Symbol.dispose]();
    this.#forgetPolicy();
    await this.#audit[Symbol.asyncDispose]();
    await this.#uplink[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }

  async #onIncoming(incoming: IncomingStream): Promise<void> {
    const { service, dialerId, circuitId } = incoming.open;
    if (service === probeService) return await this.#probes.answer(incoming);
    const hosting = this.#hostings.get(service);
    if (hosting === undefined || this.#closing.signal.aborted) {
      const refusal = localRefusal("NO_HOST", `this workload does not host ${service.slice(0, 64)}`);
      incoming.refuse(refusal);
      if (this.#closing.signal.aborted) return;
      // A router that sends a dial to whoever does not host its service is wrong, or late.
      const refused = { role: "host", service, protocol: "", own: this.svid, circuitId, dialerId } as const;
      this.record(circuitRefused(refused, refusalError("HOST_REFUSED", "A dial is refused", refusal)));
      return;
    }
    using room = hosting.reserve();
    if (room === undefined) {
      incoming.refuse(localRefusal("OVERLOADED", `this host of ${service} has as many circuits as it takes`));
      return;
    }
    try {
      const circuit = await takeIncoming(incoming, hosting, this.policy, this.#server, this.#closing.signal);
      this.#adopt(circuit, hosting.protocol);
      hosting.take(circuit);
    } catch (error) {
      incoming.refuse(localRefusal("HOST_REFUSED", "the host could not take the circuit"));
      if (this.#closing.signal.aborted) return;
      this.log.warn({ service, circuit: circuitId, dialer: dialerId, ...failure(error) }, "circuit refused");
      const { protocol } = hosting;
      if (error instanceof ConnectorError)
        this.record(circuitRefused({ role: "host", service, protocol, own: this.svid, circuitId, dialerId }, error));
    }
  }

  #adopt(circuit: Circuit, protocol: HostProtocol): void {
    const own = this.svid;
    // A circuit that nobody looks at must not end the process by an unheard error.
    circuit.on("error", (error) => this.log.debug({ circuit: circuit.circuitId, ...failure(error) }, "circuit failed"));
    this.record(circuitOpened(circuit, own, protocol));
    void circuit.closedBy.then((end) => this.record(circuitClosed(circuit, own, protocol, end)));
    this.#watch.add(circuit);
  }

  /** Its slice may be here, or come. */
  #learnProtocol(hosting: Hosting): void {
    const protocol = this.policy.protocolOf(hosting.service);
    if (protocol !== undefined) hosting.learn(protocol);
  }

  #withdraw(service: string): void {
    this.#hostings.delete(service);
    for (const over of this.#uplink.usable) withdraw(over, service);
  }
}

/** A refusal of this end for a reason other than policy. */
function localRefusal(code: string, message: string): Refusal {
  return { code, message, decisionId: "", ruleIds: [], sliceVersion: 0 };
}

function withTimeout(ms: number, signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(ms);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

function dialFailure(service: string, cause: unknown): ConnectorError {
  if (cause instanceof ConnectorError) return cause;
  const why =
    cause instanceof Error && cause.name === "TimeoutError"
      ? "the router did not answer in time"
      : failure(cause).reason;
  return new ConnectorError({ code: "ROUTER_UNREACHABLE", message: `The dial to ${service} failed: ${why}.`, cause });
}

function requireAlive({ name, svid }: Profile): void {
  if (svid.notAfter.getTime() > Date.now()) return;
  throw new ConnectorError({
    code: "PROFILE_EXPIRED",
    message: `The certificate of profile "${name}" ended at ${svid.notAfter.toISOString()}: nothing renewed it in time.`,
    remedy: "Enroll again with a new token; a certificate renews itself only while a connector runs.",
  });
}
