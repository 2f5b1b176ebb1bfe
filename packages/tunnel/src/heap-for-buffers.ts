import { constants, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";

/** Room for garbage between two full collections. */
const headroomBytes = 67_108_864;
/** V8's own greatest factor, and about its least. */
const [maxGrowth, minGrowth] = [300, 25];

/**
 * For a process whose work is passing bytes on, once, when it starts.
 *
 * V8 begins a full collection for each few tens of megabytes of buffers that were made, however short they live: 70 of them for a quarter of a gigabyte,
 * and a third of the CPU time of a router or a connector under load. Here buffers count towards the limit of the whole heap instead, and that limit leaves
 * the same room for garbage whatever lives: much for a small heap, little for the large one of a router with thousands of tunnels.
 */
export function tuneHeapForBuffers(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
  leaveHeadroom();
  new PerformanceObserver((list) => {
    if (list.getEntries().some(isFullCollection)) leaveHeadroom();
  }).observe({ entryTypes: ["gc"] });
}

/** Just after a full collection, when what is used is what lives; V8 reads it at the next one. */
function leaveHeadroom(): void {
  const percent = Math.ceil((100 * headroomBytes) / getHeapStatistics().used_heap_size);
  setFlagsFromString(`--heap-growing-percent=${Math.min(maxGrowth, Math.max(minGrowth, percent))}`);
}

function isFullCollection(entry: PerformanceEntry): boolean {
  const detail: unknown = "detail" in entry ? entry.detail : null;
  if (typeof detail !== "object" || detail === null || !("kind" in detail)) return false;
  return detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
