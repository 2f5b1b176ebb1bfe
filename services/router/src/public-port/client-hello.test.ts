import { createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { connect } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { maxClientHelloBytes, peekClientHello } from "./client-hello.ts";

/** What a real client sends first. */
async function clientHelloOf(alpn: readonly string[]): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const accepted = once(server, "connection");
  const client = connect({
    host: "127.0.0.1",
    port: address.port,
    ALPNProtocols: [...alpn],
    minVersion: "TLSv1.3",
    rejectUnauthorized: false,
  });
  client.on("error", () => undefined);
  const [socket]: Socket[] = await accepted;
  if (socket === undefined) throw new Error("no connection");
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk]);
    if (peekClientHello(bytes).kind !== "incomplete") break;
  }
  socket.destroy();
  client.destroy();
  server.close();
  return bytes;
}

function refragment(hello: Buffer, fragmentBytes: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += fragmentBytes) {
    const part = message.subarray(at, at + fragmentBytes);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  return Buffer.concat(records);
}

describe("a ClientHello of a real TLS client", () => {
  let hello: Buffer;
  beforeAll(async () => {
    hello = await clientHelloOf(["sallyport/1", "h2"]);
  });

  test("gives its ALPN names in order", () => {
    expect(peekClientHello(hello)).toEqual({ kind: "hello", alpn: ["sallyport/1", "h2"] });
  });

  test("is incomplete at every shorter length, and never wants more than it has", () => {
    for (let length = 0; length < hello.length; length += 1) {
      const peek = peekClientHello(hello.subarray(0, length));
      expect(peek.kind).toBe("incomplete");
      if (peek.kind === "incomplete") expect(peek.bytesNeeded).toBeGreaterThan(length);
    }
  });

  test("is read across TLS records of any size", () => {
    for (const fragmentBytes of [1, 3, 4, 100, 1_000]) {
      expect(peekClientHello(refragment(hello, fragmentBytes))).toEqual({ kind: "hello", alpn: ["sallyport/1", "h2"] });
    }
  });

  test("survives any one flipped byte", () => {
    for (let at = 0; at < hello.length; at += 1) {
      const flipped = Buffer.from(hello);
      flipped[at] = (flipped[at] ?? 0) ^ 0xff;
      expect(() => peekClientHello(flipped)).not.toThrow();
    }
  });
});

test("a client without ALPN gives no names", async () => {
  expect(peekClientHello(await clientHelloOf([]))).toEqual({ kind: "hello", alpn: [] });
});

test("HTTP, an alert and SSLv2 are not TLS at the first byte", () => {
  expect(peekClientHello(Buffer.from("G"))).toMatchObject({ kind: "invalid" });
  expect(peekClientHello(Buffer.from([21]))).toMatchObject({ kind: "invalid" });
  expect(peekClientHello(Buffer.from([0x80]))).toMatchObject({ kind: "invalid" });
});

test("a ClientHello that claims more than the limit is refused before its bytes arrive", () => {
  const claims = Buffer.from([22, 3, 1, 0x40, 0x00, 1, 0xff, 0xff, 0xff]);
  expect(peekClientHello(claims)).toMatchObject({ kind: "invalid", reason: "ClientHello too long" });
  const manyRecords = Buffer.concat(
    Array.from({ length: 40 }, () => Buffer.concat([Buffer.from([22, 3, 1, 2, 0]), Buffer.alloc(512, 1)])),
  );
  expect(peekClientHello(manyRecords.subarray(0, maxClientHelloBytes))).toMatchObject({ kind: "invalid" });
});

test("an empty record is refused, so that a client cannot send them for ever", () => {
  expect(peekClientHello(Buffer.from([22, 3, 1, 0, 0]))).toMatchObject({ kind: "invalid" });
});
