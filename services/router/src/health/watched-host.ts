import type { HostEntry, HostHealth } from "../domain/host-entry.ts";
import type { HostRegistry } from "../domain/host-registry.ts";
import type { RouterTunnel } from "../domain/router-tunnel.ts";
import { hostDown, hostUp, type Record } from "../events.ts";
import type { RouterLimits } from "../limits.ts";
import { LiveEvidence } from "./live-evidence.ts";
import { probeHost, type ProbeOutcome } from "./probe-host.ts";
import type { Turns } from "./turns.ts";

export interface WatchedHostOptions {
  readonly hosts: HostRegistry;
  readonly record: Record;
  readonly limits: Pick<RouterLimits, "probeEveryMs" | "probeTimeoutMs">;
  readonly turns: Turns;
}

/** A host that was down is up again after so many good answers: one that comes and goes draws no dials. */
const goodAnswersToRecover = 2;
/** Looks at which live circuits stood in for a probe, one after the other: a target may serve whom it knows, and nobody new. */
const maxLooksWithoutProbe = 5;
/** In place of each, for a workload that takes no probes. */
const declinedPause = 12;
const jitter = 0.2;
/** A timer that is given more fires at once. */
const maxTimerMs = 2 ** 31 - 1;

/** One host on one tunnel, and when it is asked next. */
export class WatchedHost implements Disposable {
  readonly #entry: HostEntry;
  readonly #tunnel: RouterTunnel;
  readonly #options: WatchedHostOptions;
  readonly #ofService = new LiveEvidence();
  readonly #ofTunnel = new LiveEvidence();
  #goodAnswers = 0;
  #looksWithoutProbe = 0;
  #timer: NodeJS.Timeout;
  #watched = true;

  constructor(entry: HostEntry, tunnel: RouterTunnel, options: WatchedHostOptions) {
    this.#entry = entry;
    this.#tunnel = tunnel;
    this.#options = options;
    // Soon, so that "unknown" does not last; not at once, since tunnels come home in crowds.
    this.#timer = this.#after((options.limits.probeEveryMs / 5) * Math.random());
  }

  [Symbol.dispose](): void {
    this.#watched = false;
    clearTimeout(this.#timer);
  }

  #after(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#look(), Math.min(delayMs, maxTimerMs)).unref();
  }

  #again(intervals = 1): void {
    const { probeEveryMs } = this.#options.limits;
    const spread = 1 - jitter + 2 * jitter * Math.random();
    if (this.#watched) this.#timer = this.#after(probeEveryMs * intervals * spread);
  }

  #look(): void {
    const isAlive = this.#ofService.look(this.#circuits().filter(({ service }) => service === this.#entry.service));
    if (isAlive && this.#entry.health.kind === "up" && this.#looksWithoutProbe < maxLooksWithoutProbe) {
      this.#looksWithoutProbe += 1;
      this.#options.hosts.setHealth(this.#entry, { kind: "up" });
      return this.#again();
    }
    this.#looksWithoutProbe = 0;
    this.#options.turns.next(() => void this.#ask());
  }

  async #ask(): Promise<void> {
    if (!this.#watched) return;
    // A full or draining tunnel takes no dial either.
    if (!this.#tunnel.takesStreams) return this.#again();
    this.#ofTunnel.look(this.#circuits());
    const outcome = await probeHost(this.#tunnel, this.#entry.service, this.#options.limits.probeTimeoutMs);
    if (this.#watched) this.#take(outcome);
  }

  #take(outcome: ProbeOutcome): void {
    switch (outcome.kind) {
      case "up":
        this.#goodAnswers += 1;
        if (this.#entry.health.kind !== "down" || this.#goodAnswers >= goodAnswersToRecover) this.#up();
        return this.#again();
      case "down":
        this.#down(outcome.reason);
        return this.#again();
      case "declined":
        return this.#again(this.#entry.health.kind === "unknown" ? declinedPause : 1);
      case "silent":
        return this.#silent();
    }
  }

  /** A probe can be late behind much data on a slow way; circuits that carry both ways meanwhile say that the workload runs. */
  #silent(): void {
    if (this.#ofTunnel.look(this.#circuits())) return this.#again();
    const reason = `it did not answer within ${this.#options.limits.probeTimeoutMs} ms`;
    this.#down(reason);
    this.#tunnel.unresponsive(`A probe of "${this.#entry.service}": ${reason}.`);
  }

  #up(): void {
    const { hosts, record } = this.#options;
    const wasDown = this.#entry.health.kind === "down";
    hosts.setHealth(this.#entry, { kind: "up" });
    if (wasDown) record(hostUp(this.#tunnel, this.#entry.service));
  }

  #down(reason: string): void {
    const { hosts, record } = this.#options;
    this.#goodAnswers = 0;
    const before = this.#entry.health;
    const sinceUnixMs = before.kind === "down" ? before.sinceUnixMs : Date.now();
    const health: HostHealth = { kind: "down", reason, sinceUnixMs };
    hosts.setHealth(this.#entry, health);
    if (before.kind !== "down") record(hostDown(this.#tunnel, this.#entry.service, reason));
  }

  #circuits(): ReturnType<RouterTunnel["hostedCircuits"]> {
    return this.#tunnel.hostedCircuits();
  }
}
