/** A terminal's Ctrl-C reaches us and the launcher, which passes it on: what follows this fast is the same key. */
const SAME_KEY_MS = 1_000;

/** Aborted by the first SIGINT, SIGTERM or SIGHUP. Who asks again, after waiting, means it: then the signal does what it does by default. */
export function stopSignal(): AbortController {
  const stop = new AbortController();
  let firstAt = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (!stop.signal.aborted) {
        firstAt = performance.now();
        stop.abort(new Error(name));
      } else if (performance.now() - firstAt > SAME_KEY_MS) {
        process.removeAllListeners(name);
        process.kill(process.pid, name);
      }
    });
  }
  return stop;
}
