import { PassThrough, duplexPair } from "node:stream";
import { PolicyInterest, StreamOpen } from "@sallyport/proto/tunnel";
import { expect, test } from "vitest";
import { MAX_MESSAGE_BYTES, readMessage, writeMessage } from "./length-delimited.ts";
import { Tunnel } from "./tunnel.ts";

const interest = (...services: string[]): PolicyInterest => ({ services });
const lengthOf = (bytes: number): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes);
  return length;
};

test("messages come out one by one, however they were cut, and then null", async () => {
  const source = new PassThrough();
  await writeMessage(source, PolicyInterest, interest("a", "b"));
  await writeMessage(source, PolicyInterest, interest());
  await writeMessage(source, PolicyInterest, interest("c"));
  const bytes: unknown = source.read();
  const cut = new PassThrough();
  if (Buffer.isBuffer(bytes)) for (const byte of bytes) cut.write(Buffer.from([byte]));
  cut.end();
  expect(await readMessage(cut, PolicyInterest)).toEqual(interest("a", "b"));
  expect(await readMessage(cut, PolicyInterest)).toEqual(interest());
  expect(await readMessage(cut, PolicyInterest)).toEqual(interest("c"));
  expect(await readMessage(cut, PolicyInterest)).toBeNull();
});

test("a message of a megabyte passes a tunnel whose window is a quarter of it", async () => {
  const [near, far] = duplexPair();
  const received = Promise.withResolvers<PolicyInterest | null>();
  await using _router = new Tunnel(near, {
    side: "router",
    software: "t",
    onOpen: (incoming) => {
      const stream = incoming
        .accept({ circuitId: "", sliceVersion: 0, decisionId: "", hostId: "" })
        .on("error", () => {});
      readMessage(stream, PolicyInterest).then(received.resolve, received.reject);
    },
  });
  await using workload = new Tunnel(far, { side: "workload", software: "t" });
  const result = await workload.openStream(StreamOpen.create({ service: "sallyport.policy" }));
  if (result.kind !== "accepted") throw new Error("The stream was refused.");
  const message = interest("x".repeat(MAX_MESSAGE_BYTES - 10));
  await writeMessage(result.stream, PolicyInterest, message);
  expect(await received.promise).toEqual(message);
});

test("a message over the limit is refused by its length alone, and never sent", async () => {
  const stream = new PassThrough();
  stream.write(lengthOf(MAX_MESSAGE_BYTES + 1));
  await expect(readMessage(stream, PolicyInterest)).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
  await expect(
    writeMessage(new PassThrough(), PolicyInterest, interest("x".repeat(MAX_MESSAGE_BYTES))),
  ).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
  const small = new PassThrough();
  small.write(lengthOf(11));
  await expect(readMessage(small, PolicyInterest, { maxBytes: 10 })).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
});

test("a stream that ends inside a message is truncated, not ended", async () => {
  for (const bytes of [Buffer.from([0, 0]), Buffer.concat([lengthOf(5), Buffer.from("abc")]), lengthOf(5)]) {
    const stream = new PassThrough();
    stream.end(bytes);
    await expect(readMessage(stream, PolicyInterest)).rejects.toMatchObject({ code: "MESSAGE_TRUNCATED" });
  }
});

test("a message that does not decode, a failing stream and an aborted wait are errors of their own", async () => {
  const bad = new PassThrough();
  bad.write(Buffer.concat([lengthOf(2), Buffer.from([0x0a, 0x7f])]));
  await expect(readMessage(bad, PolicyInterest)).rejects.toMatchObject({ code: "MESSAGE_INVALID" });

  const failing = new PassThrough();
  failing.on("error", () => {});
  const reading = readMessage(failing, PolicyInterest);
  failing.destroy(new Error("gone"));
  await expect(reading).rejects.toThrow("gone");

  const waiting = new AbortController();
  const never = readMessage(new PassThrough(), PolicyInterest, { signal: waiting.signal });
  waiting.abort(new Error("enough"));
  await expect(never).rejects.toThrow("enough");
});
