import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { expect, test } from "vitest";
import { EnrollmentPassthrough } from "./enrollment-passthrough.ts";

const forever = new AbortController().signal;

async function listening(server: Server): Promise<{ readonly host: string; readonly port: number }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { host: "127.0.0.1", port: address.port };
}

test("maxPassthroughs: when all places are taken, the source with most gives its oldest to one that has fewer", async () => {
  const enrollment = createServer((socket) => socket.on("error", () => undefined).resume());
  const front = createServer({ pauseOnConnect: true });
  const address = await listening(front);
  const passthrough = new EnrollmentPassthrough(await listening(enrollment), {
    maxPassthroughs: 3,
    maxPassthroughsPerSource: 3,
    passthroughMs: 60_000,
    maxPassthroughBytes: 1_000,
  });
  /** Loopback has sixteen million addresses. */
  const enroll = async (from: string): Promise<{ readonly client: Socket; readonly over: Promise<string | null> }> => {
    const accepted = once(front, "connection");
    const client = connect({ ...address, localAddress: from }).on("error", () => undefined);
    const [socket]: Socket[] = await accepted;
    if (socket === undefined) throw new Error("no connection");
    return { client, over: passthrough.relay(socket, forever) };
  };
  const flood = [await enroll("127.0.0.2"), await enroll("127.0.0.2"), await enroll("127.0.0.2")];
  expect(await (await enroll("127.0.0.2")).over).toBe("source-enrollments");
  const quiet = await enroll("127.0.0.3");
  expect(await flood[0]?.over).toBe(null);
  expect(await (await enroll("127.0.0.3")).over).toBe("enrollments");
  expect([...flood.slice(1), quiet].map(({ client }) => client.destroyed)).toEqual([false, false, false]);
  for (const { client } of [...flood, quiet]) client.destroy();
  front.close();
  enrollment.close();
});
