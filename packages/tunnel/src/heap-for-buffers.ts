import { constants, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";

/** Full collections closer than that are those of a bulk transfer. */
const bulkMs = 1_000;
/** Room for garbage between two of them. */
const headroomBytes = 67_108_864;
/** V8's own greatest factor, and about its least. */
const [maxGrowth, minGrowth] = [300, 25];

/**
 * For a process whose work is passing bytes on, once, when it starts.
 *
 * V8 begins a full collection for each few tens of megabytes of buffers that were made, however short they live: 70 of them for a quarter of a gigabyte,
 * and a third of the CPU time of a router or a connector under load. Here buffers count towards the limit of the whole heap instead. While full collections
 * still chase each other, that limit leaves the same room for garbage whatever lives: much for a small heap, little for the large one of a router with
 * thousands of tunnels. Otherwise it stays V8's own, so that a quiet process does not grow into room that it does not need.
 */
export function tuneHeapForBuffers(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
  let lastAt = Number.NEGATIVE_INFINITY;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!isFullCollection(entry)) continue;
      leaveRoom(entry.startTime - lastAt < bulkMs);
      lastAt = entry.startTime;
    }
  }).observe({ entryTypes: ["gc"] });
}

/** Just after a full collection, when what is used is what lives; V8 reads it at the next one. 0: as it likes. */
function leaveRoom(isBulk: boolean): void {
  const percent = Math.ceil((100 * headroomBytes) / getHeapStatistics().used_heap_size);
  const growth = isBulk ? Math.min(maxGrowth, Math.max(minGrowth, percent)) : 0;
  setFlagsFromString(`--heap-growing-percent=${growth}`);
}

function isFullCollection(entry: PerformanceEntry): boolean {
  const detail: unknown = "detail" in entry ? entry.detail : null;
  if (typeof detail !== "object" || detail === null || !("kind" in detail)) return false;
  return detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
