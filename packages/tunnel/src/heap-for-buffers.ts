import { setFlagsFromString } from "node:v8";

/**
 * For a process whose work is passing bytes on, once, when it starts.
 *
 * V8 begins a full collection for each 64 MB of buffers that were made, however short they live; with 16 KiB chunks that is a collection for every
 * few thousand, and a third of the CPU time of a router or a connector under load. Instead buffers count towards the limit of the whole heap, which may
 * grow fourfold between two collections (V8's own greatest factor), and the young generation stays small, so that dead buffers are freed with it,
 * and their memory is used again while it is in the cache.
 */
export function tuneHeapForBuffers(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
  setFlagsFromString("--heap-growing-percent=300");
  setFlagsFromString("--semi-space-growth-factor=1");
}
