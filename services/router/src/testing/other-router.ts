import { FrameType } from "@sallyport/frame";
import {
  LinkHost,
  Refusal,
  StreamAccept,
  type Control,
  type HostsDelta,
  type StreamOpen,
} from "@sallyport/proto/tunnel";
import { RawTunnel } from "./raw-tunnel.ts";
import { hostsKnown, linked } from "./router-mesh.ts";
import { RouterNetwork, type RouterNetworkOptions } from "./router-network.ts";

/** Of the other router's boot. */
export const otherEpoch = 77;

/** A router, and a link to it from router `0`, which says and does what a test wants. */
export async function withOtherRouter(
  options: RouterNetworkOptions = {},
): Promise<{ readonly network: RouterNetwork; readonly raw: RawTunnel }> {
  const network = await RouterNetwork.start(options);
  return { network, raw: await linkFromOther(network) };
}

export async function linkFromOther(network: RouterNetwork): Promise<RawTunnel> {
  const raw = await RawTunnel.link(network, "0", { routerEpoch: otherEpoch, maxStreams: 4_096 });
  await linked(network, 1);
  return raw;
}

export function linkHost(network: RouterNetwork, name: string, change: Partial<LinkHost> = {}): LinkHost {
  const spiffeId = network.workloadId(name).uri;
  return LinkHost.create({ service: "files", spiffeId, serial: "0a", issuers: ["0b"], up: true, ...change });
}

export function snapshot(sequence: number, hosts: LinkHost[], routerEpoch: number = otherEpoch): Control {
  return { message: { $case: "hostsSnapshot", value: { routerEpoch, sequence, hosts } } };
}

export function delta(sequence: number, change: Partial<HostsDelta>, routerEpoch: number = otherEpoch): Control {
  const whole = { routerEpoch, sequence, changed: [], gone: [], ...change };
  return { message: { $case: "hostsDelta", value: whole } };
}

/** The other router has `shelf` for `files`. Its SPIFFE ID. */
export async function announceShelf(network: RouterNetwork, raw: RawTunnel): Promise<string> {
  const host = linkHost(network, "shelf");
  raw.control(snapshot(1, [host]));
  await hostsKnown(network, "files", 1);
  return host.spiffeId;
}

/** A dial of `agent`, whom the other router has, for a host of this one. */
export function dialFor(network: RouterNetwork, hostId: string, change: Partial<StreamOpen> = {}): Partial<StreamOpen> {
  return {
    dialerId: network.workloadId("agent").uri,
    dialerSerial: "0c",
    dialerIssuers: ["0d"],
    decisionId: "d",
    sliceVersion: 1,
    circuitId: crypto.randomUUID(),
    hostId,
    ...change,
  };
}

/** Its answer to the next dial over the link. */
export async function acceptNext(raw: RawTunnel, hostId: string): Promise<void> {
  const { streamId } = await raw.next(FrameType.open);
  raw.frame(FrameType.accept, streamId, StreamAccept.encode(StreamAccept.create({ hostId })).finish());
}

export async function refusalCodeOf(raw: RawTunnel): Promise<string> {
  return Refusal.decode((await raw.next(FrameType.refuse)).payload).code;
}

export async function goawayOf(raw: RawTunnel): Promise<number> {
  return (await raw.next(FrameType.goaway)).payload.readUInt32BE();
}
