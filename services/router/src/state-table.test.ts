/** The table of packages/frame/spec.md, section 4, at both sides of a circuit and at a stream that ends in the router. */
import { FrameType, WireCode, encodeFrame, encodeReset } from "@sallyport/frame";
import {
  checkCell,
  stateCells,
  type ReceivedFrame,
  type ScriptedPeer,
  type StreamInState,
  type StreamState,
} from "@sallyport/tunnel/testing";
import type { TunnelStream } from "@sallyport/tunnel";
import { afterEach, describe, expect, test } from "vitest";
import { RouterNetwork, emptyAccept } from "./testing/router-network.ts";
import { openPolicy, scriptedHost, scriptedWorkload } from "./testing/scripted-workload.ts";

let network: RouterNetwork;

afterEach(async () => {
  await network[Symbol.asyncDispose]();
});

const freshId = 101;
const never = async (): Promise<void> => await new Promise(() => undefined);

interface Ends {
  readonly peer: ScriptedPeer;
  /** The stream at the circuit's other end. */
  readonly far: TunnelStream;
  readonly at: StreamInState;
}

function inState(peer: ScriptedPeer, streamId: number, far?: TunnelStream): StreamInState {
  const delivered = far === undefined ? never() : new Promise<void>((resolve) => far.once("data", () => resolve()));
  return { peer, streamId, freshId, delivered: () => delivered };
}

/** A scripted dialer, and what it dials. */
async function dialer(): Promise<{ readonly peer: ScriptedPeer; readonly accepted: Promise<TunnelStream> }> {
  network = await RouterNetwork.start({ policy: openPolicy });
  const accepted = Promise.withResolvers<TunnelStream>();
  await network.host("shelf", ["accepted", "unanswered"], {
    onOpen: (incoming) => {
      if (incoming.open.service === "accepted") accepted.resolve(incoming.accept(emptyAccept));
    },
  });
  return { peer: await scriptedWorkload(network), accepted: accepted.promise };
}

async function asDialer(): Promise<Ends> {
  const { peer, accepted } = await dialer();
  peer.sendOpen(1, "accepted");
  await peer.next(FrameType.accept);
  const far = await accepted;
  return { peer, far, at: inState(peer, 1, far) };
}

/** A scripted host, and who dials it. */
async function asked(): Promise<{
  readonly peer: ScriptedPeer;
  readonly streamId: number;
  readonly dialing: ReturnType<RouterNetwork["dial"]>;
}> {
  network = await RouterNetwork.start({ policy: openPolicy });
  await network.host("shelf", ["accepted"]);
  const peer = await scriptedHost(network);
  const dialing = network.dial(await network.connect("agent"), "scripted");
  dialing.catch(() => undefined);
  const { streamId } = await peer.next(FrameType.open);
  return { peer, streamId, dialing };
}

async function asHost(): Promise<Ends> {
  const { peer, streamId, dialing } = await asked();
  peer.send(encodeFrame(FrameType.accept, 0, streamId));
  const result = await dialing;
  if (result.kind === "refused") throw new Error(result.refusal.message);
  return { peer, far: result.stream, at: inState(peer, streamId, result.stream) };
}

/** A stream that ends in the router. */
async function asGuest(): Promise<{ readonly peer: ScriptedPeer; readonly at: StreamInState }> {
  const { peer } = await dialer();
  peer.sendOpen(1, "sallyport.policy");
  await peer.next(FrameType.accept);
  return { peer, at: { ...inState(peer, 1), delivered: async () => undefined } };
}

const fin = (streamId: number): Buffer => encodeFrame(FrameType.fin, 0, streamId);

function remoteEnded(ends: () => Promise<Ends>): () => Promise<StreamInState> {
  return async () => {
    const { peer, far, at } = await ends();
    peer.send(fin(at.streamId));
    await new Promise((resolve) => far.resume().once("end", resolve));
    return at;
  };
}

function localEnded(ends: () => Promise<Ends>): () => Promise<StreamInState> {
  return async () => {
    const { peer, far, at } = await ends();
    far.end();
    await peer.next(FrameType.fin);
    return at;
  };
}

function closedByReset(ends: () => Promise<Ends>): () => Promise<StreamInState> {
  return async () => {
    const { peer, far, at } = await ends();
    far.reset(WireCode.limit);
    await peer.next(FrameType.reset);
    return at;
  };
}

function closedByFin(ends: () => Promise<Ends>): () => Promise<StreamInState> {
  return async () => {
    const { peer, far, at } = await ends();
    far.end();
    await peer.next(FrameType.fin);
    peer.send(fin(at.streamId));
    await expect.poll(() => network.router.switchboard.circuits.size).toBe(0);
    return at;
  };
}

interface Reach {
  readonly as: string;
  /** A frame at which this end does more than the table asks of it. */
  readonly except?: ReceivedFrame;
  readonly reach: () => Promise<StreamInState>;
}

const enter: Readonly<Record<StreamState, readonly Reach[]>> = {
  idle: [{ as: "a dialer", reach: async () => inState((await dialer()).peer, 1) }],
  opening: [
    {
      as: "a host",
      reach: async () => {
        const { peer, streamId, dialing } = await asked();
        const far = dialing.then(
          (result) => (result.kind === "accepted" ? result.stream : undefined),
          () => undefined,
        );
        const delivered = far.then(
          async (stream) => await new Promise<void>((done) => stream?.once("data", () => done())),
        );
        return { ...inState(peer, streamId), delivered: () => delivered };
      },
    },
  ],
  offered: [
    {
      as: "a dialer",
      reach: async () => {
        const { peer } = await dialer();
        peer.sendOpen(1, "unanswered");
        return inState(peer, 1);
      },
    },
  ],
  open: [
    { as: "a dialer", reach: async () => (await asDialer()).at },
    { as: "a host", reach: async () => (await asHost()).at },
    // The router has nothing more to say on it then, and ends it too.
    { as: "a guest", except: "FIN", reach: async () => (await asGuest()).at },
  ],
  "remote ended": [
    { as: "a dialer", reach: remoteEnded(asDialer) },
    { as: "a host", reach: remoteEnded(asHost) },
  ],
  "local ended": [
    { as: "a dialer", reach: localEnded(asDialer) },
    { as: "a host", reach: localEnded(asHost) },
  ],
  closed: [
    { as: "a dialer, by RESET from there", reach: closedByReset(asDialer) },
    { as: "a host, by RESET from there", reach: closedByReset(asHost) },
    { as: "a dialer, by FIN both ways", reach: closedByFin(asDialer) },
    { as: "a host, by FIN both ways", reach: closedByFin(asHost) },
    {
      as: "a dialer, refused",
      reach: async () => {
        const { peer } = await dialer();
        peer.sendOpen(1, "nobody-hosts-it");
        await peer.next(FrameType.refuse);
        return inState(peer, 1);
      },
    },
    {
      as: "a host whose dialer gave up",
      reach: async () => {
        network = await RouterNetwork.start({ policy: openPolicy });
        await network.host("shelf", ["accepted"]);
        const peer = await scriptedHost(network);
        const other = await scriptedWorkload(network);
        other.sendOpen(1, "scripted");
        const { streamId } = await peer.next(FrameType.open);
        other.send(encodeReset(1, WireCode.cancelled));
        await peer.next(FrameType.reset);
        return inState(peer, streamId);
      },
    },
    {
      as: "a guest that reset it",
      reach: async () => {
        const { peer, at } = await asGuest();
        peer.send(encodeReset(1, WireCode.cancelled));
        return at;
      },
    },
  ],
};

describe.for(stateCells)("$title", (cell) => {
  test.for(enter[cell.state].filter(({ except }) => except !== cell.received))("as $as", async ({ reach }) => {
    await checkCell(cell, await reach());
  });
});
