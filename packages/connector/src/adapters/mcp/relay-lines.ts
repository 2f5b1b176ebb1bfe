import type { Readable, Writable } from "node:stream";
import { LineSplitter } from "./line-splitter.ts";

export interface RelayOptions {
  readonly source: Readable;
  /** Written to while a line is handled: a full one holds the source up. */
  readonly sinks: readonly Writable[];
  readonly onLine: (line: Buffer) => void;
}

export type RelayEnd =
  | { readonly kind: "ended" }
  | { readonly kind: "line-too-long" }
  | { readonly kind: "failed"; readonly cause: Error };

/** Hands every line of `source` on, no faster than the sinks take what is written meanwhile. Never rejects. */
export function relayLines({ source, sinks, onLine }: RelayOptions): Promise<RelayEnd> {
  const { promise, resolve } = Promise.withResolvers<RelayEnd>();
  const splitter = new LineSplitter(onLine);
  const onData = (chunk: Buffer): void => {
    if (!splitter.push(chunk)) {
      source.off("data", onData).pause();
      resolve({ kind: "line-too-long" });
      return;
    }
    const full = sinks.filter((sink) => sink.writableNeedDrain);
    if (full.length === 0) return;
    source.pause();
    void Promise.all(full.map(drained)).then(() => source.resume());
  };
  source.on("data", onData);
  source.once("end", () => resolve({ kind: "ended" }));
  source.once("error", (cause) => resolve({ kind: "failed", cause }));
  source.once("close", () => resolve({ kind: "ended" }));
  return promise;
}

/** Or gone: then whoever owns it ends the relay. */
function drained(sink: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      sink.off("drain", done).off("close", done);
      resolve();
    };
    sink.on("drain", done).on("close", done);
  });
}
