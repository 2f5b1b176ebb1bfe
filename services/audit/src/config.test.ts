import { expect, test } from "vitest";
import { readAuditConfig } from "./config.ts";

const env = {
  SALLYPORT_STATE_DIR: "/s",
  SALLYPORT_KEY_ENCRYPTION_KEY_FILE: "/k",
  SALLYPORT_BOOTSTRAP_DIR: "/b",
  SALLYPORT_CA_ADDRESS: "127.0.0.1:1",
  SALLYPORT_NATS_URL: "tls://127.0.0.1:2",
};

test("without a ClickHouse of its own the service brings one", () => {
  expect(readAuditConfig(env).store).toEqual({ kind: "embedded" });
});

test("a ClickHouse server is used by its address, its password read from a file", () => {
  const store = {
    SALLYPORT_CLICKHOUSE_URL: "https://db:8443/audit",
    SALLYPORT_CLICKHOUSE_USER: "sallyport",
    SALLYPORT_CLICKHOUSE_PASSWORD_FILE: "/p",
  };
  expect(readAuditConfig({ ...env, ...store }).store).toEqual({
    kind: "server",
    url: "https://db:8443/audit",
    user: "sallyport",
    passwordFile: "/p",
  });
});

test.each(["http://user:secret@db:8123", "ftp://db", "db:8123"])(
  "an address that is none, or holds a password, is refused: %s",
  (url) => {
    expect(() => readAuditConfig({ ...env, SALLYPORT_CLICKHOUSE_URL: url })).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID" }),
    );
  },
);
