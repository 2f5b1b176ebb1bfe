import type { Logger, Readiness, ReadinessBlock } from "@sallyport/service";
import type { Publisher } from "./publisher.ts";

/** A head's age is how routers notice that policy is withheld from them. */
const HEAD_INTERVAL_MS = 10_000;
const RETRY_INTERVAL_MS = 1_000;

/** Publishes a head every 10 s, and every second while that fails; not ready while the last one failed. */
export class HeadBeat implements AsyncDisposable {
  readonly #publisher: Publisher;
  readonly #log: Logger;
  readonly #readiness: Readiness;
  #block: ReadinessBlock | null;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void>;
  #stopped = false;

  constructor(options: { readonly publisher: Publisher; readonly log: Logger; readonly readiness: Readiness }) {
    this.#publisher = options.publisher;
    this.#log = options.log;
    this.#readiness = options.readiness;
    this.#block = this.#readiness.block("a published policy head");
    this.#beating = this.#beat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#beating;
  }

  async #beat(): Promise<void> {
    const published = await this.#publish();
    if (this.#stopped) return;
    const next = (): void => {
      this.#beating = this.#beat();
    };
    this.#timer = setTimeout(next, published ? HEAD_INTERVAL_MS : RETRY_INTERVAL_MS);
    this.#timer.unref();
  }

  async #publish(): Promise<boolean> {
    try {
      await this.#publisher.publish();
      this.#block?.[Symbol.dispose]();
      this.#block = null;
      return true;
    } catch (error) {
      if (this.#block === null) this.#log.warn({ err: error }, "the policy head could not be published");
      this.#block ??= this.#readiness.block("a published policy head");
      return false;
    }
  }
}
