/**
 * Renews the profile's certificate at half its life.
 *
 * 1. Under the profile's lock: of several processes on one profile one renews, the others find its result on disk and take it.
 * 2. The new key is on disk before its certificate is asked for; an attempt whose answer was lost is repeated with the same key.
 * 3. A failure is tried again, ever more rarely, until the certificate's end.
 */
import { setTimeout as delay } from "node:timers/promises";
import { createCsr, type RotatingSvid, type Svid } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { EnrollmentServiceService, type EnrollResponse } from "@sallyport/proto/enrollment";
import type { Duplex } from "node:stream";
import { callUnary, RpcRefusal } from "../enroll/grpc-unary.ts";
import { takeAnswer } from "../enroll/take-answer.ts";
import { withProfileLock } from "../profile/profile-lock.ts";
import { discardKey, loadProfile, prepareKey, saveProfile } from "../profile/profile-store.ts";
import type { Profile } from "../profile/profile.ts";
import { failure, type ConnectorLog } from "./log.ts";

export interface RenewalOptions {
  readonly profile: Profile;
  readonly identity: RotatingSvid;
  /** A stream to enrollment's mutual TLS, through the tunnel. */
  readonly openStream: (signal: AbortSignal) => Promise<Duplex>;
  readonly log: ConnectorLog;
  /** The identity was rotated. */
  readonly onRenewed: (profile: Profile) => void;
}

const attemptTimeoutMs = 20_000;
const firstRetryMs = 1_000;
const maxRetryMs = 60_000;

export class Renewal implements AsyncDisposable {
  readonly #options: RenewalOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) options.log.warn(failure(error), "renewal stopped");
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      const dueMs = renewalTime(this.#options.identity.current()) - Date.now();
      const waitMs = failures === 0 ? Math.max(0, dueMs) : Math.min(maxRetryMs, firstRetryMs * 2 ** (failures - 1));
      await delay(waitMs * (0.9 + 0.1 * Math.random()), undefined, { signal, ref: false });
      failures = (await this.#attempt()) ? 0 : failures + 1;
    }
  }

  async #attempt(): Promise<boolean> {
    const { profile, identity, log, onRenewed } = this.#options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(attemptTimeoutMs)]);
    try {
      const renewed = await withProfileLock(profile.paths.lock, () => this.#renewOrAdopt(signal), { signal });
      identity.rotate(renewed.svid, renewed.bundle);
      log.info({ serial: renewed.svid.serial, notAfter: renewed.svid.notAfter }, "certificate renewed");
      onRenewed(renewed);
      return true;
    } catch (error) {
      if (!this.#stop.signal.aborted)
        log.warn({ ...failure(error), notAfter: identity.current().notAfter }, "renewal failed");
      return false;
    }
  }

  async #renewOrAdopt(signal: AbortSignal): Promise<Profile> {
    const { profile, identity } = this.#options;
    const stored = await loadProfile(profile.name, profile.folders);
    const isNewer =
      stored.svid.serial !== identity.current().serial && stored.svid.notAfter > identity.current().notAfter;
    if (isNewer && renewalTime(stored.svid) > Date.now()) return stored;
    return await this.#renew(stored, signal);
  }

  async #renew(stored: Profile, signal: AbortSignal): Promise<Profile> {
    const privateKey = await prepareKey(stored.paths);
    const csr = await createCsr(privateKey);
    let answer: EnrollResponse;
    try {
      answer = await this.#call(csr, stored.generation, signal);
    } catch (error) {
      if (error instanceof RpcRefusal && error.isFinal) await discardKey(stored.paths);
      throw error;
    }
    const renewed: Profile = {
      ...stored,
      ...takeAnswer(answer, privateKey, stored.bundle.trustDomain),
      routers: answer.routers.length > 0 ? answer.routers : stored.routers,
      generation: answer.generation,
    };
    await saveProfile(renewed);
    return renewed;
  }

  async #call(csr: Buffer, generation: number, signal: AbortSignal): Promise<EnrollResponse> {
    const { identity, openStream } = this.#options;
    const { socket } = await connectMtls({
      carrier: await openStream(signal),
      identity,
      trust: identity.bundle(),
      alpn: "h2",
      expect: (who) => who.kind === "service" && who.name === "enrollment",
      signal,
    });
    return await callUnary(socket, EnrollmentServiceService.renew, { csr, generation }, signal);
  }
}

/** Half of the certificate's life, in Unix milliseconds. */
function renewalTime(svid: Svid): number {
  return (svid.notBefore.getTime() + svid.notAfter.getTime()) / 2;
}
