import { TokenBucket } from "./token-bucket.ts";

export interface SourceLimits {
  /** Connections of all sources that have not proven an identity yet. */
  readonly maxUnproven: number;
  /** The same of one source address. */
  readonly maxUnprovenPerSource: number;
  readonly connectionsPerSecondPerSource: number;
  readonly connectionBurstPerSource: number;
  /** Source addresses whose rate is remembered; beyond it the fullest buckets are forgotten first. */
  readonly maxSources: number;
}

export type Admission =
  | { readonly kind: "admitted"; readonly ticket: Disposable }
  | { readonly kind: "refused"; readonly reason: "total" | "source-concurrency" | "source-rate" };

interface Source {
  unproven: number;
  readonly bucket: TokenBucket;
}

/**
 * Who may start a handshake: bounded before anything is known of the peer. A ticket is held until an identity is proven or the connection ends.
 * An IPv6 source counts by its /64, since that is what one host usually commands.
 */
export class SourceAdmission {
  readonly #limits: SourceLimits;
  readonly #now: (() => number) | undefined;
  readonly #sources = new Map<string, Source>();
  #unproven = 0;

  constructor(limits: SourceLimits, now?: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get unproven(): number {
    return this.#unproven;
  }

  admit(address: string): Admission {
    if (this.#unproven >= this.#limits.maxUnproven) return { kind: "refused", reason: "total" };
    const key = sourceKey(address);
    const source = this.#source(key);
    if (source.unproven >= this.#limits.maxUnprovenPerSource) return { kind: "refused", reason: "source-concurrency" };
    if (!source.bucket.take()) return { kind: "refused", reason: "source-rate" };
    source.unproven += 1;
    this.#unproven += 1;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      source.unproven -= 1;
      this.#unproven -= 1;
    };
    return { kind: "admitted", ticket: { [Symbol.dispose]: release } };
  }

  #source(key: string): Source {
    const known = this.#sources.get(key);
    if (known !== undefined) return known;
    if (this.#sources.size >= this.#limits.maxSources) this.#forget();
    const { connectionsPerSecondPerSource: perSecond, connectionBurstPerSource: burst } = this.#limits;
    const bucket = new TokenBucket({ perSecond, burst, ...(this.#now === undefined ? {} : { now: this.#now }) });
    const source: Source = { unproven: 0, bucket };
    this.#sources.set(key, source);
    return source;
  }

  /** Idle sources first; when none is idle, the oldest without a connection. Those with connections are few: `maxUnproven`. */
  #forget(): void {
    let oldest: string | undefined;
    for (const [key, source] of this.#sources) {
      if (source.unproven > 0) continue;
      if (source.bucket.full) this.#sources.delete(key);
      else oldest ??= key;
    }
    if (this.#sources.size >= this.#limits.maxSources && oldest !== undefined) this.#sources.delete(oldest);
  }
}

export function sourceKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("%")[0]?.split("::") ?? [];
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array<string>(zeros).fill("0"), ...right].slice(0, 4).join(":");
}
