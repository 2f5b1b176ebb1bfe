import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { parseTable } from "./socket-table.ts";
import { surveySockets } from "./survey.ts";

test("the kernel's table is read: address, state, inode", () => {
  const text =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
    "   0: 0100007F:107E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n" +
    "   1: 0100007F:C350 0100007F:107E 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n";
  expect(parseTable("tcp", text)).toEqual([
    { protocol: "tcp", address: "127.0.0.1:4222", inode: "4711", listens: true },
    { protocol: "tcp", address: "127.0.0.1:50000", inode: "4712", listens: false },
  ]);
});

test("a server of this process is found by its address", async () => {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const [self] = await surveySockets([process.pid]);
  expect(self?.sockets).toContainEqual(expect.objectContaining({ address: `127.0.0.1:${port}`, listens: true }));
  server.close();
});

test("a server of a child's child is found from the first process", async () => {
  const grandchild = `require("net").createServer().listen(0, "127.0.0.1", function () { console.log(this.address().port) })`;
  const child = spawn("sh", ["-c", `"$NODE" -e '${grandchild}'; true`], {
    env: { ...process.env, NODE: process.execPath },
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  try {
    const [port] = (await once(child.stdout, "data")) as [Buffer];
    const processes = await surveySockets([child.pid ?? 0]);
    expect(processes.flatMap(({ sockets }) => sockets)).toContainEqual(
      expect.objectContaining({ address: `127.0.0.1:${port.toString().trim()}`, listens: true }),
    );
  } finally {
    process.kill(-(child.pid ?? 0));
  }
});
