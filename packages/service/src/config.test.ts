import { expect, test } from "vitest";
import { hostPort, listenAddress, readServiceConfig } from "./config.ts";

const whole = {
  PATH: "/bin",
  SALLYPORT_STATE_DIR: "/state",
  SALLYPORT_KEY_ENCRYPTION_KEY_FILE: "/key",
  SALLYPORT_BOOTSTRAP_DIR: "/bootstrap",
  SALLYPORT_CA_ADDRESS: "127.0.0.1:1",
  SALLYPORT_NATS_URL: "tls://127.0.0.1:2",
};

test("what is not said has its default", () => {
  const { common } = readServiceConfig(whole, {});
  expect(common).toMatchObject({
    trustDomain: "sallyport.local",
    instance: "1",
    grpcListen: { host: "127.0.0.1", port: 0 },
    logLevel: "info",
  });
});

test("a service's own settings are read beside the common ones", () => {
  const env = { ...whole, SALLYPORT_ROUTER_LISTEN: "[::1]:8443" };
  expect(readServiceConfig(env, { SALLYPORT_ROUTER_LISTEN: listenAddress }).own).toEqual({
    SALLYPORT_ROUTER_LISTEN: { host: "::1", port: 8443 },
  });
});

test("a misspelt setting stops the process and is named", () => {
  const env = { ...whole, SALLYPORT_LOG_LEVLE: "debug" };
  expect(() => readServiceConfig(env, {})).toThrow(/unknown setting: SALLYPORT_LOG_LEVLE/);
});

test("every setting at fault is named", () => {
  const env = {
    ...whole,
    SALLYPORT_CA_ADDRESS: "nowhere",
    SALLYPORT_NATS_URL: "nats://127.0.0.1:2",
    SALLYPORT_INSTANCE: "A",
  };
  expect(() => readServiceConfig(env, {})).toThrow(/SALLYPORT_INSTANCE.*SALLYPORT_CA_ADDRESS.*SALLYPORT_NATS_URL/);
});

test.each(["host", "host:", ":1", "host:65536", "host:1/path", "user@host:1", "host:1 "])(
  "%s is no address",
  (text) => {
    expect(hostPort.safeParse(text).success).toBe(false);
  },
);
