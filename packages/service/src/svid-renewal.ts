import { RotatingSvid } from "@sallyport/identity";
import { pause, retry } from "./backoff.ts";
import type { Logger } from "./logger.ts";
import { requestSvid, type IssuedSvid, type SvidIssuer } from "./svid-issuer.ts";

/** Time is looked at this often, so that a machine that slept renews soon after it wakes. */
const CHECK_INTERVAL_MS = 15_000;
/** Between two renewals, however short the lives are: a CA near its own end must not be asked in a tight loop. */
const MIN_INTERVAL_MS = 1_000;
const FIRST_SVID = { firstMs: 50, maxMs: 1_000 };
const RENEWAL = { firstMs: 500, maxMs: 30_000 };

/** An SVID that is renewed at half of its life, with a fresh key each time, until it is disposed of. */
export class SvidRenewal implements AsyncDisposable {
  readonly source: RotatingSvid;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  private constructor(first: IssuedSvid, renew: (signal: AbortSignal) => Promise<IssuedSvid>, log: Logger) {
    this.source = new RotatingSvid(first.svid, first.bundle);
    this.#running = this.#run(renew, log);
  }

  /** Waits, with back-off, until the issuer has given the first one. */
  static async open(options: {
    readonly issue: SvidIssuer;
    readonly bus: boolean;
    readonly uri: string;
    readonly log: Logger;
    readonly signal: AbortSignal;
  }): Promise<SvidRenewal> {
    const { issue, bus, uri, log } = options;
    const request = (signal: AbortSignal): Promise<IssuedSvid> => requestSvid(issue, { bus, expectUri: uri, signal });
    const first = await retry(() => request(options.signal), {
      ...FIRST_SVID,
      signal: options.signal,
      onFailure: (error) => log.debug({ err: error, uri }, "no SVID yet"),
    });
    return new SvidRenewal(first, request, log);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("disposed"));
    await this.#running;
  }

  async #run(renew: (signal: AbortSignal) => Promise<IssuedSvid>, log: Logger): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await pause(Math.max(MIN_INTERVAL_MS, Math.min(this.#untilHalfLifeMs(), CHECK_INTERVAL_MS)), signal);
        if (this.#untilHalfLifeMs() > 0) continue;
        const { svid, bundle } = await retry(() => renew(signal), {
          ...RENEWAL,
          signal,
          onFailure: (error, pauseMs) => log.warn({ err: error, pauseMs }, "the SVID was not renewed"),
        });
        this.source.rotate(svid, bundle);
        log.info({ serial: svid.serial, notAfter: svid.notAfter }, "the SVID was renewed");
      } catch (error) {
        if (!signal.aborted) log.error({ err: error }, "the renewal of the SVID failed");
      }
    }
  }

  #untilHalfLifeMs(): number {
    const { notBefore, notAfter } = this.source.current();
    return Math.max(0, (notBefore.getTime() + notAfter.getTime()) / 2 - Date.now());
  }
}
