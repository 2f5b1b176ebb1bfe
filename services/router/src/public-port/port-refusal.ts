/** The limit behind the reason for which a connection was closed before anyone was proven on it; null where it was no limit. */
export function limitBehind(reason: string): string | null {
  return limits.get(reason) ?? null;
}

const limits = new Map([
  ["total", "maxUnproven"],
  ["source-concurrency", "maxUnprovenPerSource"],
  ["source-rate", "connectionsPerSecondPerSource"],
  ["no first byte in time", "firstByteMs"],
  ["no ClientHello in time", "handshakeMs"],
  ["ClientHello too long", "maxClientHelloBytes"],
  ["overloaded", "overloadDelayMs"],
  ["handshake budget", "handshakesPerSecond"],
  ["enrollments", "maxPassthroughs"],
  ["source-enrollments", "maxPassthroughsPerSource"],
]);
