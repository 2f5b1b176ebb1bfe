import { text } from "node:stream/consumers";
import { afterEach, expect, test } from "vitest";
import type { CircuitEnd } from "../../circuit/circuit-end.ts";
import type { Circuit } from "../../circuit/circuit.ts";
import { splice, type JoinedStreams } from "../scripted-router.test-support.ts";
import { arrived, dishonestWorld, failureOf, write, type DishonestWorld } from "./dishonest-world.test-support.ts";
import { RecordRelay, type Tamper } from "./record-relay.test-support.ts";

let network: DishonestWorld;

afterEach(async () => {
  await network[Symbol.asyncDispose]();
});

/** The host says three things; the router does `tamper` with their records. What the dialer got of them, and how it ended for each. */
async function answers(
  tamper: Tamper,
): Promise<{ readonly got: string; readonly dialer: CircuitEnd; readonly host: CircuitEnd }> {
  const router = new RecordRelay();
  network = await dishonestWorld({ relay: router.relay });
  const { dialed, taken } = await network.circuit();
  router.tamper = (record, direction) => (direction === "toDialer" ? tamper(record, direction) : [record]);
  const got = arrived(dialed);
  for (const said of ["one ", "two ", "three "]) await write(taken, said);
  taken.end();
  const [dialer, host] = await Promise.all([dialed.closedBy, taken.closedBy]);
  return { got: await got, dialer, host };
}

const secret = "the third tranche is 4,711,000 francs";

test("a router that reads sees ciphertext: no call and no answer occurs in what it relays", async () => {
  const router = new RecordRelay();
  network = await dishonestWorld({ relay: router.relay });
  const { dialed, taken } = await network.circuit();
  dialed.end(`{"call":"${secret}"}`);
  expect(await text(taken)).toContain(secret);
  taken.end(`{"answer":"${secret}"}`);
  expect(await text(dialed)).toContain(secret);
  for (const direction of ["toHost", "toDialer"] as const) {
    const seen = router.bytes(direction);
    expect(seen.length).toBeGreaterThan(secret.length);
    for (const word of [secret, secret.slice(0, 8), "call", "answer", "files"])
      expect(seen.includes(word), word).toBe(false);
  }
  expect(await dialed.closedBy).toStrictEqual({ kind: "ended" });
});

test("an altered byte ends the circuit as altered, and nothing of its record is handed on", async () => {
  let records = 0;
  const { got, dialer, host } = await answers((record) => [(records += 1) === 2 ? flipped(record) : record]);
  expect(got).toBe("one ");
  expect([dialer.kind, host]).toMatchObject(["altered", { kind: "reset", by: "router" }]);
  expect(await network.record()).toContain("dialer circuit.closed altered");
});

test("an altered byte in the handshake: neither end gets a circuit", async () => {
  const router = new RecordRelay();
  // The host's certificate is in the record behind its ServerHello.
  let records = 0;
  router.tamper = (record, direction) =>
    direction === "toDialer" && (records += 1) === 3 ? [flipped(record)] : [record];
  network = await dishonestWorld({ relay: router.relay });
  expect(await failureOf(network.agent.dial("files"))).toMatchObject({ code: "HANDSHAKE_FAILED" });
  await expect.poll(() => network.record()).toContain("host circuit.refused HANDSHAKE_FAILED");
  expect(await network.record()).toContain("dialer circuit.refused HANDSHAKE_FAILED");
  expect(network.taken).toHaveLength(0);
});

test("a FIN in the middle of a record is a truncation, never an end", async () => {
  let records = 0;
  const { got, dialer } = await answers((record) => {
    records += 1;
    return records === 2 ? [record.subarray(0, 9), "fin"] : [record];
  });
  expect([got, dialer.kind]).toStrictEqual(["one ", "truncated"]);
  expect(await network.record()).toContain("dialer circuit.closed truncated");
});

test("a FIN exactly between two records is a truncation, never an end", async () => {
  let records = 0;
  const { got, dialer } = await answers((record) => {
    records += 1;
    return records === 2 ? [record, "fin"] : [record];
  });
  expect([got, dialer.kind]).toStrictEqual(["one two ", "truncated"]);
  expect(await network.record()).toContain("dialer circuit.closed truncated");
});

test("a FIN in place of the last record, when all data has arrived, is a truncation: the end itself is missing", async () => {
  let records = 0;
  const { got, dialer } = await answers((record) => {
    records += 1;
    return records === 3 ? [record, "fin"] : [record];
  });
  expect([got, dialer.kind]).toStrictEqual(["one two three ", "truncated"]);
});

test("two records in another order", async () => {
  let held: Buffer | undefined;
  let records = 0;
  const { got, dialer } = await answers((record) => {
    records += 1;
    if (records === 1) held = record;
    return records === 1 ? [] : records === 2 && held !== undefined ? [record, held] : [record];
  });
  expect([got, dialer.kind]).toStrictEqual(["", "altered"]);
  expect(await network.record()).toContain("dialer circuit.closed altered");
});

test("a record left out", async () => {
  let records = 0;
  const { got, dialer } = await answers((record) => ((records += 1) === 2 ? [] : [record]));
  expect([got, dialer.kind]).toStrictEqual(["one ", "altered"]);
  expect(await network.record()).toContain("dialer circuit.closed altered");
});

test("a record twice", async () => {
  let records = 0;
  const { got, dialer } = await answers((record) => ((records += 1) === 2 ? [record, record] : [record]));
  expect([got, dialer.kind]).toStrictEqual(["one two ", "altered"]);
  expect(await network.record()).toContain("dialer circuit.closed altered");
});

test("what was said earlier in the circuit, said again later", async () => {
  const said: Buffer[] = [];
  const { got, dialer } = await answers((record) => {
    said.push(record);
    return said.length === 3 ? said.slice(0, 1) : [record];
  });
  expect([got, dialer.kind]).toStrictEqual(["one two ", "altered"]);
});

test("a whole circuit recorded and played to the host once more: the host's handshake is a fresh one", async () => {
  const router = new RecordRelay();
  let asked: JoinedStreams["open"] | undefined;
  network = await dishonestWorld({
    relay: (streams) => {
      asked = streams.open;
      router.relay(streams);
    },
  });
  const { dialed, taken } = await network.circuit();
  dialed.end("delete everything");
  taken.end();
  expect(await text(taken)).toBe("delete everything");
  await dialed.closedBy;
  if (asked === undefined) throw new Error("no circuit was relayed");
  const again = await network.world.router.tunnelOf("host").openStream(asked);
  if (again.kind === "refused") throw new Error("the host refused the recorded OPEN");
  again.stream.end(router.bytes("toHost"));
  await new Promise((resolve) => again.stream.resume().once("close", resolve));
  expect(network.taken).toHaveLength(1);
  await expect.poll(() => network.record()).toContain("host circuit.refused HANDSHAKE_FAILED");
});

test("streams of two live circuits crossed: neither host nor dialer takes a byte of the other circuit", async () => {
  const joined: JoinedStreams[] = [];
  const gates: { open: boolean } = { open: true };
  // Each circuit comes to be as it should; later its dialer's bytes go to the other one's host.
  network = await dishonestWorld({
    relay: (streams) => {
      joined.push(streams);
      const { dialer, host } = streams;
      host.on("data", (chunk: Buffer) => dialer.write(chunk)).on("error", () => dialer.destroy());
      dialer
        .on("data", (chunk: Buffer) => {
          const other = joined.find((one) => one !== streams);
          (gates.open ? host : (other?.host ?? host)).write(chunk);
        })
        .on("error", () => host.destroy());
    },
  });
  const first = await network.circuit();
  const second = await network.circuit();
  gates.open = false;
  const got = [arrived(first.taken), arrived(second.taken)];
  await write(first.dialed, "of the first");
  expect((await second.taken.closedBy).kind).toBe("altered");
  first.dialed.destroy();
  expect(await Promise.all(got)).toStrictEqual(["", ""]);
  expect(await network.record()).toContain("host circuit.closed altered");
});

test("an honest relay, by the same router, ends well: what is refused above is the lie", async () => {
  network = await dishonestWorld({ relay: ({ dialer, host }) => splice(dialer, host) });
  const { dialed, taken } = await network.circuit();
  dialed.end("ask");
  taken.end("answer");
  expect(await Promise.all([text(taken), text(dialed)])).toStrictEqual(["ask", "answer"]);
  await ended(dialed, taken);
});

async function ended(...circuits: readonly Circuit[]): Promise<void> {
  for (const { closedBy } of circuits) expect(await closedBy).toStrictEqual({ kind: "ended" });
}

/** With one bit of its last byte, which is of the record's tag, turned. */
function flipped(record: Buffer): Buffer {
  const bytes = Buffer.from(record);
  const last = bytes.length - 1;
  bytes.writeUInt8(bytes.readUInt8(last) ^ 1, last);
  return bytes;
}
