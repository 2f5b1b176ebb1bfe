import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectorWorld, type ConnectorWorld } from "../../connector/connector-world.test-support.ts";
import { splitAddress } from "../../profile/token.ts";
import { forward, type Forwarding } from "./forward.ts";
import { hostTcp } from "./host-tcp.ts";

let world: ConnectorWorld;
let target: Server;
let forwarding: Forwarding;

beforeEach(async () => {
  world = await connectorWorld();
  // Answers once the question has ended: only a half-close that crosses the circuit lets it.
  target = createServer(
    { allowHalfOpen: true },
    (socket) =>
      void text(socket).then(
        (asked) => socket.end(`you said ${asked}`),
        () => socket.destroy(),
      ),
  );
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  const [agent, host] = [await world.connector("agent"), await world.connector("host")];
  await hostTcp({ connector: host, service: "files", target: `127.0.0.1:${(target.address() as AddressInfo).port}` })
    .ready;
  forwarding = await forward({ connector: agent, service: "files", listen: "127.0.0.1:0" });
});

afterEach(async () => {
  await forwarding[Symbol.asyncDispose]();
  target.close();
  await world[Symbol.asyncDispose]();
});

describe("a forwarded port", () => {
  test("is the dark target, half-close included", async () => {
    const socket = connect({ ...splitAddress(forwarding.address), allowHalfOpen: true });
    socket.end("hello");
    expect(await text(socket)).toBe("you said hello");
  });

  test("serves connections beside each other", async () => {
    const answers = ["a", "b", "c"].map(async (word) => {
      const socket = connect({ ...splitAddress(forwarding.address), allowHalfOpen: true });
      socket.end(word);
      return await text(socket);
    });
    expect(await Promise.all(answers)).toStrictEqual(["you said a", "you said b", "you said c"]);
  });

  test("ends by a reset, not by a clean end, when the dialer is revoked in the middle of an answer", async () => {
    const socket = connect(splitAddress(forwarding.address));
    const accepted = once(target, "connection");
    await once(socket, "connect");
    socket.write("an endless question");
    await accepted;
    const over = once(socket, "error");
    world.policy.deny("agent");
    expect((await over)[0]).toMatchObject({ code: "ECONNRESET" });
  });

  test("is reset when the target is gone", async () => {
    target.close();
    const socket = connect(splitAddress(forwarding.address));
    expect((await once(socket, "error"))[0]).toMatchObject({ code: "ECONNRESET" });
  });
});

test.each(["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "nonsense"])(
  "%s is not listened on: it is not loopback",
  async (listen) => {
    const agent = await world.connector("agent");
    await expect(forward({ connector: agent, service: "files", listen })).rejects.toMatchObject({
      code: "LISTEN_NOT_LOOPBACK",
    });
  },
);
