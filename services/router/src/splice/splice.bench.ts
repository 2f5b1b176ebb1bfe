/** What the splice costs beside its plain version, without TLS and sockets: `node --conditions=sallyport-source src/splice/splice.bench.ts`. */
import { spliceInMemory } from "../testing/splice-in-memory.ts";

for (const payloadBytes of [256, 1_024, 4_000, 16_376]) {
  for (const version of ["splice", "plain"] as const) {
    const { frames, cpuSeconds } = spliceInMemory({ version, payloadBytes, rounds: 4_000 });
    const perFrame = `${((cpuSeconds * 1e9) / frames).toFixed(0)} ns per frame`;
    const perGigabyte = `${(cpuSeconds / ((frames * payloadBytes) / 1e9)).toFixed(3)} s per GB`;
    process.stdout.write(
      `${version.padEnd(6)} ${String(payloadBytes).padStart(6)} B payload: ${perFrame}, ${perGigabyte}\n`,
    );
  }
}
