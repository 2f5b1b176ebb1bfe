import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { openEnvelope } from "@sallyport/policy-engine";
import { Block, type SignedBlock } from "@sallyport/proto/audit";
import { Head } from "@sallyport/proto/policy";
import { AuditAck, AuditPublish, PolicyInterest, PolicyUpdate } from "@sallyport/proto/tunnel";
import { readMessage, writeMessage, type TunnelStream } from "@sallyport/tunnel";
import { describe, expect, test } from "vitest";
import { RouterNetwork, openOf, reachPolicy, type TestWorkload } from "../testing/router-network.ts";

async function builtIn(network: RouterNetwork, from: TestWorkload, service: string): Promise<TunnelStream> {
  const result = await network.open(from, { ...openOf(service), circuitNonce: Buffer.alloc(0) });
  if (result.kind === "refused") throw new Error(result.refusal.code);
  return result.stream;
}

async function closed(stream: TunnelStream): Promise<void> {
  if (stream.closed) return;
  await new Promise<void>((resolve) => stream.once("close", () => resolve()));
}

async function update(stream: TunnelStream): Promise<string> {
  const message = await readMessage(stream, PolicyUpdate, { signal: AbortSignal.timeout(5_000) });
  if (message?.update === undefined) throw new Error("no update");
  if (message.update.$case === "sliceRemoved") return `removed ${message.update.value}`;
  return message.update.$case;
}

async function updates(stream: TunnelStream, count: number): Promise<readonly string[]> {
  const all: string[] = [];
  while (all.length < count) all.push(await update(stream));
  return all;
}

test("an unknown built-in service is refused, and no policy is asked about it", async () => {
  await using network = await RouterNetwork.start();
  const agent = await network.connect("agent");
  await expect(builtIn(network, agent, "sallyport.console")).rejects.toThrow("SERVICE_UNKNOWN");
  expect(network.recorded("circuit.refused")).toHaveLength(0);
});

test("one tunnel holds only so many built-in streams, and gets them back when they end", async () => {
  await using network = await RouterNetwork.start({ limits: { maxBuiltInStreamsPerTunnel: 1 } });
  const agent = await network.connect("agent");
  const first = await builtIn(network, agent, "sallyport.policy");
  await expect(builtIn(network, agent, "sallyport.policy")).rejects.toThrow("OVERLOADED");
  first.resume().end();
  await closed(first);
  await builtIn(network, agent, "sallyport.policy");
});

describe("sallyport.policy", () => {
  test("gives deny-list, the slices of an interest and the head, as policy signed them", async () => {
    await using network = await RouterNetwork.start();
    const stream = await builtIn(network, await network.connect("agent"), "sallyport.policy");
    await writeMessage(stream, PolicyInterest, { services: ["files"] });
    const kinds: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      const { update: told } = (await readMessage(stream, PolicyUpdate)) ?? {};
      if (told === undefined || told.$case === "sliceRemoved") throw new Error("not an envelope");
      kinds.push(openEnvelope(told.value, network.authority.bundle, new Date()).payloadType);
    }
    expect(kinds).toEqual(["DenyList", "Slice", "Head"].map((name) => `sallyport.policy.v1.${name}`));
  });

  test("tells a workload that may reach nothing no name of a service", async () => {
    await using network = await RouterNetwork.start();
    const stream = await builtIn(network, await network.connect("other"), "sallyport.policy");
    await writeMessage(stream, PolicyInterest, { services: [] });
    for (const kind of ["denyList", "head"]) {
      const { update: told } = (await readMessage(stream, PolicyUpdate)) ?? {};
      if (told === undefined || told.$case === "sliceRemoved") throw new Error("not an envelope");
      expect(told.$case).toBe(kind);
      for (const { name } of reachPolicy.services) expect(Buffer.from(told.value.payload).includes(name)).toBe(false);
      if (told.$case === "head")
        expect(Head.decode(told.value.payload).slices).toHaveLength(reachPolicy.services.length);
    }
  });

  test("answers a name that the workload may neither dial nor host like a name that does not exist", async () => {
    await using network = await RouterNetwork.start();
    const stream = await builtIn(network, await network.connect("other"), "sallyport.policy");
    await writeMessage(stream, PolicyInterest, { services: ["files", "nothing"] });
    expect(await updates(stream, 4)).toEqual(["denyList", "removed files", "removed nothing", "head"]);
  });

  test("passes on each change, and takes the slice away with the right to it", async () => {
    await using network = await RouterNetwork.start();
    const stream = await builtIn(network, await network.connect("agent"), "sallyport.policy");
    await writeMessage(stream, PolicyInterest, { services: ["files"] });
    await updates(stream, 3);
    network.apply(network.author.deny({ $case: "name", value: "other" }));
    expect(await updates(stream, 2)).toEqual(["denyList", "head"]);
    const nothing = { ...reachPolicy, cedarFiles: { "main.cedar": "" } };
    network.apply(network.author.publish(nothing));
    expect(await updates(stream, 2)).toEqual(["removed files", "head"]);
    network.apply(network.author.publish(reachPolicy));
    expect(await updates(stream, 2)).toEqual(["slice", "head"]);
  });

  test("answers a second interest whole, its head included", async () => {
    await using network = await RouterNetwork.start();
    const stream = await builtIn(network, await network.connect("shelf"), "sallyport.policy");
    await writeMessage(stream, PolicyInterest, { services: ["files"] });
    await updates(stream, 3);
    await writeMessage(stream, PolicyInterest, { services: ["files", "vault"] });
    expect(await updates(stream, 2)).toEqual(["slice", "head"]);
  });

  test("a reader that stopped gets the newest state later, not every state between", async () => {
    await using network = await RouterNetwork.start();
    const stream = await builtIn(network, await network.connect("agent"), "sallyport.policy");
    await writeMessage(stream, PolicyInterest, { services: ["files"] });
    await updates(stream, 3);
    for (let i = 0; i < 3_000; i += 1) network.apply([network.author.head()]);
    const { headSequence } = network.mirror.state.versions;
    let heads = 0;
    for (let last = 0; last < headSequence; heads += 1) {
      const message = await readMessage(stream, PolicyUpdate, { signal: AbortSignal.timeout(5_000) });
      if (message?.update?.$case !== "head") throw new Error("not a head");
      last = Head.decode(message.update.value.payload).sequence;
    }
    expect(heads).toBeLessThan(3_000);
  });

  test("an interest that is too long ends the stream, not the tunnel", async () => {
    await using network = await RouterNetwork.start();
    const agent = await network.connect("agent");
    const stream = await builtIn(network, agent, "sallyport.policy");
    await writeMessage(stream, PolicyInterest, { services: Array.from({ length: 200 }, (_, i) => `s${i}`) });
    stream.resume();
    await closed(stream);
    await builtIn(network, agent, "sallyport.policy");
  });
});

describe("sallyport.audit", () => {
  const epoch = "0123456789abcdef0123456789abcdef";

  function block(number: number, of = epoch): SignedBlock {
    const bytes = Block.encode(Block.fromPartial({ epoch: of, number, events: [Buffer.from("x")] })).finish();
    return { block: Buffer.from(bytes), certificateChain: [], signature: Buffer.alloc(64) };
  }

  test("a block is stamped with the tunnel's identity and acknowledged by its position", async () => {
    await using network = await RouterNetwork.start();
    const agent = await network.connect("agent");
    const stream = await builtIn(network, agent, "sallyport.audit");
    await writeMessage(stream, AuditPublish, { block: block(7) });
    expect(await readMessage(stream, AuditAck)).toEqual({ epoch, number: 7, errorCode: "" });
    expect(network.blocks).toMatchObject([[block(7), { epoch, number: 7 }, { uri: agent.id.uri }]]);
  });

  test("what is no block is never to be sent again; a bus that is away says to come again", async () => {
    let busIsThere = false;
    const publishBlock = async (): Promise<void> => {
      if (!busIsThere) throw new Error("away");
    };
    await using network = await RouterNetwork.start({ publishBlock });
    const stream = await builtIn(network, await network.connect("agent"), "sallyport.audit");
    const send = async (signed: SignedBlock | undefined): Promise<string | undefined> => {
      await writeMessage(stream, AuditPublish, { block: signed });
      return (await readMessage(stream, AuditAck))?.errorCode;
    };
    expect(await send(undefined)).toBe("BLOCK_INVALID");
    expect(await send({ ...block(1), block: Buffer.from([0xff]) })).toBe("BLOCK_INVALID");
    expect(await send(block(1, "not an epoch"))).toBe("BLOCK_INVALID");
    const large = Block.fromPartial({ epoch, number: 3, events: [Buffer.alloc(1_000_001)] });
    await writeMessage(stream, AuditPublish, {
      block: { ...block(3), block: Buffer.from(Block.encode(large).finish()) },
    });
    expect(await readMessage(stream, AuditAck)).toEqual({ epoch, number: 3, errorCode: "BLOCK_INVALID" });
    expect(await send(block(1))).toBe("BUS_UNAVAILABLE");
    busIsThere = true;
    expect(await send(block(1))).toBe("");
  });

  test("a message that claims more than 1 MiB ends the stream, not the tunnel", async () => {
    await using network = await RouterNetwork.start();
    const agent = await network.connect("agent");
    const stream = await builtIn(network, agent, "sallyport.audit");
    stream.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]));
    stream.resume();
    await closed(stream);
    await builtIn(network, agent, "sallyport.audit");
  });
});

describe("sallyport.enrollment", () => {
  test("bytes reach enrollment and come back, half closes included", async () => {
    const enrollment = createServer({ allowHalfOpen: true }, (socket) => {
      socket.write("hello ");
      socket.pipe(socket);
    });
    enrollment.listen(0, "127.0.0.1");
    await once(enrollment, "listening");
    await using network = await RouterNetwork.start({ enrollmentAddress: addressOf(enrollment.address()) });
    const stream = await builtIn(network, await network.connect("agent"), "sallyport.enrollment");
    const sent = Buffer.alloc(1_000_000, 3);
    stream.end(sent);
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => (bytes += chunk.length));
    await once(stream, "end");
    expect(bytes).toBe(sent.length + "hello ".length);
    enrollment.close();
  });

  test("an enrollment that is away ends the stream, not the tunnel", async () => {
    await using network = await RouterNetwork.start();
    const agent = await network.connect("agent");
    const stream = await builtIn(network, agent, "sallyport.enrollment");
    await closed(stream);
    await builtIn(network, agent, "sallyport.policy");
  });
});

function addressOf(address: AddressInfo | string | null): { readonly host: string; readonly port: number } {
  if (address === null || typeof address === "string") throw new Error("no port");
  return { host: "127.0.0.1", port: address.port };
}
