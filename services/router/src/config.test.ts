import { expect, test } from "vitest";
import { readConfig } from "./config.ts";
import { routerLimits } from "./limits.ts";

const env = {
  SALLYPORT_STATE_DIR: "/state",
  SALLYPORT_KEY_ENCRYPTION_KEY_FILE: "/key",
  SALLYPORT_BOOTSTRAP_DIR: "/bootstrap",
  SALLYPORT_CA_ADDRESS: "127.0.0.1:1",
  SALLYPORT_NATS_URL: "tls://127.0.0.1:2",
  SALLYPORT_ROUTER_LISTEN: "127.0.0.1:0",
  SALLYPORT_ENROLL_ADDRESS: "127.0.0.1:3",
  SALLYPORT_ENROLLMENT_ADDRESS: "127.0.0.1:4",
};

test("without settings every limit is its default", () => {
  expect(readConfig(env).limits).toEqual(routerLimits);
});

test("each limit is a setting, and a tunnel's queue grows with its streams", () => {
  const { limits } = readConfig({
    ...env,
    SALLYPORT_LIMIT_MAX_TUNNELS: "7",
    SALLYPORT_LIMIT_MAX_STREAMS_PER_TUNNEL: "512",
  });
  expect(limits).toEqual({
    ...routerLimits,
    maxTunnels: 7,
    maxStreamsPerTunnel: 512,
    maxQueuedBytesPerTunnel: routerLimits.maxQueuedBytesPerTunnel + 256 * 262_144,
  });
});

test.each([
  ["SALLYPORT_LIMIT_MAX_TUNELS", "7", "unknown setting"],
  ["SALLYPORT_LIMIT_MAX_TUNNELS", "many", "must be a whole number"],
  ["SALLYPORT_LIMIT_MAX_TUNNELS", "0", "must be from 1 to"],
  ["SALLYPORT_LIMIT_HANDSHAKE_MS", "2147483648", "must be from 1 to 2147483647"],
])("%s=%s is refused: %s", (name, value, message) => {
  expect(() => readConfig({ ...env, [name]: value })).toThrow(message);
});
