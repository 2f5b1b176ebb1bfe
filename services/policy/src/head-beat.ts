import type { Logger, Readiness, ReadinessBlock } from "@sallyport/service";
import type { Publisher } from "./publisher.ts";

/** A head's age is how routers notice that policy is withheld from them. */
const HEAD_INTERVAL_MS = 10_000;
const RETRY_INTERVAL_MS = 1_000;
const WAITING_FOR = "a published policy head";

type BeatState =
  | { readonly kind: "starting" | "failing"; readonly block: ReadinessBlock }
  | { readonly kind: "published" };

/** Publishes a head every 10 s, and every second while that fails; not ready while the last one failed. */
export class HeadBeat implements AsyncDisposable {
  readonly #publisher: Pick<Publisher, "publish">;
  readonly #log: Logger;
  readonly #readiness: Readiness;
  readonly #stop = new AbortController();
  #state: BeatState;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void>;

  constructor(options: {
    readonly publisher: Pick<Publisher, "publish">;
    readonly log: Logger;
    readonly readiness: Readiness;
  }) {
    this.#publisher = options.publisher;
    this.#log = options.log;
    this.#readiness = options.readiness;
    this.#state = { kind: "starting", block: this.#readiness.block(WAITING_FOR) };
    this.#beating = this.#beat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#beating;
  }

  async #beat(): Promise<void> {
    try {
      await this.#publisher.publish();
      this.#succeed();
    } catch (error) {
      this.#fail(error);
    }
    if (this.#stop.signal.aborted) return;
    const next = (): void => {
      this.#beating = this.#beat();
    };
    this.#timer = setTimeout(next, this.#state.kind === "published" ? HEAD_INTERVAL_MS : RETRY_INTERVAL_MS);
    this.#timer.unref();
  }

  #succeed(): void {
    if (this.#state.kind === "published") return;
    if (this.#state.kind === "failing") this.#log.info("policy heads are published again");
    this.#state.block[Symbol.dispose]();
    this.#state = { kind: "published" };
  }

  #fail(error: unknown): void {
    if (this.#state.kind === "failing") return;
    if (!this.#stop.signal.aborted)
      this.#log.warn({ err: error }, "the policy head could not be published; trying again every second");
    const block = this.#state.kind === "starting" ? this.#state.block : this.#readiness.block(WAITING_FOR);
    this.#state = { kind: "failing", block };
  }
}
