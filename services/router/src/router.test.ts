import { expect, test } from "vitest";
import { RouterNetwork } from "./testing/router-network.ts";

test("an allowed dial joins dialer and host, and what one sends the other reads", async () => {
  await using network = await RouterNetwork.start();
  const host = await network.host("shelf", ["files"]);
  const dialer = await network.connect("agent");
  const stream = await network.circuit(dialer, "files");
  const hosted = await host.next();
  stream.end("question");
  hosted.end("answer");
  expect(await text(hosted)).toBe("question");
  expect(await text(stream)).toBe("answer");
});

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
