/** What an end must do opposite a peer that does exactly as a test says, and what it must not take from one. */
import assert from "node:assert/strict";
import {
  FrameType,
  INITIAL_WINDOW_BYTES,
  PING_ACK,
  WireCode,
  encodeFrame,
  encodeGoaway,
  encodePing,
  encodeReset,
  encodeWindow,
} from "@sallyport/frame";
import { StreamAccept, StreamOpen } from "@sallyport/proto/tunnel";
import type { IncomingStream } from "../incoming-stream.ts";
import type { TunnelEndpoint } from "../tunnel-endpoint.ts";
import type { TunnelOptions } from "../tunnel-options.ts";
import { acceptor, dial, echo, errorOf, type ComplianceCase, type ComplianceSubject } from "./compliance-case.ts";
import { type PeerFrame, ScriptedPeer } from "./scripted-peer.ts";
import { type AnswerViolation, answerViolations, type Violation, violations } from "./violations.ts";

/** The end under test as a router, opposite a peer that does as it is told and has said hello. */
async function withPeer(
  subject: ComplianceSubject,
  options: Partial<TunnelOptions>,
  use: (peer: ScriptedPeer, tunnel: TunnelEndpoint) => Promise<void>,
): Promise<void> {
  const [near, far] = await subject.carriers();
  const tunnel = subject.create(near, { side: "router", software: "compliance/1", ...options });
  const peer = new ScriptedPeer(far);
  try {
    peer.sendHello();
    await tunnel.hello;
    await use(peer, tunnel);
  } finally {
    tunnel.abort(WireCode.none);
    peer.destroyCarrier();
  }
}

/** Reads DATA of the peer's until `bytes` of payload came. */
async function receiveData(peer: ScriptedPeer, bytes: number): Promise<void> {
  for (let received = 0; received < bytes;) received += (await peer.next(FrameType.data)).payload.length;
}

const opposite: readonly ComplianceCase[] = [
  {
    title: "no hello in time ends the tunnel",
    run: async (subject) => {
      const [near, far] = await subject.carriers();
      const tunnel = subject.create(near, { side: "router", software: "compliance/1", helloTimeoutMs: 20 });
      const peer = new ScriptedPeer(far);
      assert.equal(await peer.goawayCode(), WireCode.protocol);
      assert.equal((await tunnel.closed).kind, "violated");
      peer.destroyCarrier();
    },
  },
  {
    title: "the hello is said without waiting for the other's, and a PING is answered even before it",
    run: async (subject) => {
      const [near, far] = await subject.carriers();
      const tunnel = subject.create(near, { side: "router", software: "compliance/1" });
      const peer = new ScriptedPeer(far);
      await peer.next(FrameType.control);
      peer.send(encodePing(Buffer.from("8 bytes!"), false));
      const answer = await peer.next(FrameType.ping);
      assert.equal(answer.flags, PING_ACK);
      assert.equal(String(answer.payload), "8 bytes!");
      tunnel.abort(WireCode.none);
      peer.destroyCarrier();
    },
  },
  {
    title: "a field and a control message of a later version are skipped",
    run: (subject) =>
      withPeer(subject, { onOpen: echo }, async (peer) => {
        const laterField = Buffer.from([0xfa, 0x3f, 2, 104, 105]); // Field 1023, two bytes.
        const open = Buffer.concat([StreamOpen.encode(dial).finish(), laterField]);
        peer.send(encodeFrame(FrameType.control, 0, 0, laterField), encodeFrame(FrameType.open, 0, 1, open));
        await peer.next(FrameType.accept);
      }),
  },
  {
    title: "ids may have gaps",
    run: (subject) =>
      withPeer(subject, { onOpen: echo }, async (peer) => {
        for (const id of [1, 99, 2 ** 31 - 1]) assert.equal((await accept(peer, id)).streamId, id);
      }),
  },
  {
    title: "a writer sends its credit to the last byte, not one more, and as much again as is granted",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      await withPeer(subject, { onOpen }, async (peer) => {
        await accept(peer, 1);
        (await stream).write(Buffer.alloc(INITIAL_WINDOW_BYTES * 2));
        await receiveData(peer, INITIAL_WINDOW_BYTES);
        peer.send(encodeWindow(1, 5));
        assert.equal((await peer.next(FrameType.data)).payload.length, 5);
        peer.send(encodePing(Buffer.alloc(8), false));
        await peer.next(FrameType.ping);
        assert.equal(peer.waiting(FrameType.data), 0);
      });
    },
  },
  {
    title: "what a reader took is granted again after no more than half of the window",
    run: (subject) =>
      withPeer(
        subject,
        { onOpen: (incoming) => void incoming.accept(StreamAccept.create()).resume() },
        async (peer) => {
          await accept(peer, 1);
          const frame = encodeFrame(FrameType.data, 0, 1, Buffer.alloc(INITIAL_WINDOW_BYTES / 32));
          for (let sent = 0; sent < 16; sent += 1) peer.send(frame);
          const granted = (await peer.next(FrameType.window)).payload.readUInt32BE(0);
          assert.ok(granted > 0);
        },
      ),
  },
  {
    title: "a code that nobody knows is taken as internal, of a stream and of the tunnel",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      await withPeer(subject, { onOpen }, async (peer, tunnel) => {
        await accept(peer, 1);
        peer.send(encodeReset(1, 77_777));
        const error = await errorOf(await stream);
        assert.ok(error instanceof Error && "wireCode" in error && error.wireCode === WireCode.internal);
        peer.send(encodeGoaway(77_777));
        assert.deepEqual(await tunnel.closed, { kind: "goaway", code: WireCode.internal });
      });
    },
  },
  {
    title: "a RESET is not answered",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      await withPeer(subject, { onOpen }, async (peer) => {
        await accept(peer, 1);
        peer.send(encodeReset(1, WireCode.cancelled));
        await errorOf(await stream);
        peer.send(encodePing(Buffer.alloc(8), false));
        await peer.next(FrameType.ping);
        assert.equal(peer.waiting(FrameType.reset), 0);
      });
    },
  },
  {
    title: "a dialer that gives up before its OPEN has left still says OPEN before RESET",
    run: (subject) =>
      withPeer(subject, {}, async (peer, tunnel) => {
        const giveUp = new AbortController();
        const dialing = assert.rejects(tunnel.openStream(dial, { signal: giveUp.signal }));
        // The OPEN is queued by then, and no turn of the loop has taken it away.
        for (let turns = 0; turns < 5; turns += 1) await Promise.resolve();
        giveUp.abort();
        await dialing;
        const { streamId } = await peer.next(FrameType.open);
        assert.equal((await peer.next(FrameType.reset)).streamId, streamId);
      }),
  },
  {
    title: "a carrier that ends without GOAWAY ends streams as errors",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      await withPeer(subject, { onOpen }, async (peer, tunnel) => {
        await accept(peer, 1);
        const taken = await stream;
        peer.endCarrier();
        assert.ok((await errorOf(taken)) instanceof Error);
        assert.equal((await tunnel.closed).kind, "ended");
      });
    },
  },
];

async function accept(peer: ScriptedPeer, streamId: number): Promise<PeerFrame> {
  peer.sendOpen(streamId, "files");
  return await peer.next(FrameType.accept);
}

function answerCase({ title, answer }: AnswerViolation): ComplianceCase {
  return {
    title: `${title} ends the tunnel`,
    run: (subject) =>
      withPeer(subject, {}, async (peer, tunnel) => {
        const dialing = assert.rejects(tunnel.openStream(dial), { code: "TUNNEL_ENDED" });
        peer.send(answer((await peer.next(FrameType.open)).streamId));
        assert.equal(await peer.goawayCode(), WireCode.protocol);
        await dialing;
      }),
  };
}

function violationCase(violation: Violation): ComplianceCase {
  return {
    title: `${violation.title} ends the tunnel with code ${violation.wireCode}`,
    run: async (subject) => {
      const [near, far] = await subject.carriers();
      const onOpen = (incoming: IncomingStream): void =>
        void (incoming.open.service === "accepted" && incoming.accept(StreamAccept.create()).on("error", () => {}));
      const router = subject.create(near, { side: "router", software: "compliance/1", onOpen });
      const peer = new ScriptedPeer(far);
      if (violation.silentStart === undefined) {
        peer.sendHello();
        await router.hello;
      }
      await violation.act(peer);
      assert.equal(await peer.goawayCode(), violation.wireCode);
      assert.equal((await router.closed).kind, "violated");
      await peer.ended;
      peer.destroyCarrier();
    },
  };
}

export const scriptedCompliance: readonly ComplianceCase[] = [
  ...opposite,
  ...answerViolations.map(answerCase),
  ...violations.map(violationCase),
];
