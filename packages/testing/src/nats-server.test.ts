import { createConnection } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { natsServer } from "./nats-server.ts";

test("a server is ready when it is given, and is on the same port after a crash", async () => {
  await using server = await natsServer();
  expect(await greeting(server.port)).toContain('"jetstream":true');
  await server.kill();
  await server.start();
  expect(await greeting(server.port)).toContain('"jetstream":true');
});

async function greeting(port: number): Promise<string> {
  const socket = createConnection(port, "127.0.0.1");
  const [chunk] = await once(socket, "data");
  socket.destroy();
  return String(chunk);
}
