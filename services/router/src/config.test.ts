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

test("links come in by the public port unless they have one of their own", () => {
  expect(readConfig(env)).toMatchObject({ reusePort: false, linkListen: null, linkAddress: null });
  const shared = { SALLYPORT_ROUTER_REUSE_PORT: "1", SALLYPORT_LINK_LISTEN: "127.0.0.1:0" };
  expect(readConfig({ ...env, ...shared, SALLYPORT_LINK_ADDRESS: "r1.example.net:7" })).toMatchObject({
    reusePort: true,
    linkListen: { host: "127.0.0.1", port: 0 },
    linkAddress: "r1.example.net:7",
  });
});

test.each([
  [{ SALLYPORT_ROUTER_REUSE_PORT: "1" }, "needs SALLYPORT_LINK_LISTEN"],
  [{ SALLYPORT_LINK_LISTEN: "0.0.0.0:0" }, "needs SALLYPORT_LINK_ADDRESS"],
  [{ SALLYPORT_ROUTER_REUSE_PORT: "yes" }, "must be a whole number"],
])("%j is refused: it %s", (settings, message) => {
  expect(() => readConfig({ ...env, ...settings })).toThrow(message);
});

test.each([
  ["SALLYPORT_LIMIT_MAX_TUNELS", "7", "unknown setting"],
  ["SALLYPORT_LIMIT_MAX_TUNNELS", "many", "must be a whole number"],
  ["SALLYPORT_LIMIT_MAX_TUNNELS", "0", "must be from 1 to"],
  ["SALLYPORT_LIMIT_HANDSHAKE_MS", "2147483648", "must be from 1 to 2147483647"],
])("%s=%s is refused: %s", (name, value, message) => {
  expect(() => readConfig({ ...env, [name]: value })).toThrow(message);
});

test("a misspelt limit is told where limits are, without a list of them all", () => {
  const misspelt = { ...env, SALLYPORT_LIMIT_MAX_TUNELS: "7" };
  const refused = expect.objectContaining({
    remedy: expect.stringMatching(/SALLYPORT_ROUTER_LISTEN.*, SALLYPORT_LIMIT_<NAME> \(docs\/limits\.md\)\.$/),
  });
  expect(() => readConfig(misspelt)).toThrow(refused);
});
