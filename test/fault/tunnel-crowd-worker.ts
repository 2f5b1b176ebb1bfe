/** Many tunnels that carry nothing, in one process: TLS, HELLO and pings are real, everything else of a connector is left out. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { loadProfile, type Profile } from "@sallyport/connector";
import { RotatingSvid } from "@sallyport/identity";
import { connectMtls } from "@sallyport/mtls";
import { serveWorker } from "@sallyport/testing";
import { Tunnel } from "@sallyport/tunnel";
import type { CrowdApi } from "./tunnel-crowd-api.ts";

/** As in the connector. */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** A thousand workloads have a thousand processors, this process has one: more handshakes at once would only time out together. */
const MAX_HANDSHAKES = 64;
/** At the beginning the crowd comes one behind the other; it is its return that is the test. */
const FIRST_COME_MS = 10;

interface Door {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string;
}

const count = { up: 0, lost: 0, failed: 0 };
const waiting: (() => void)[] = [];
let handshakes = 0;

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (handshakes >= MAX_HANDSHAKES) await new Promise<void>((resolve) => waiting.push(resolve));
  else handshakes += 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) handshakes -= 1;
    else next();
  }
}

async function openTunnel(door: Door, { svid, bundle }: Profile): Promise<Tunnel> {
  const carrier = connect(door);
  await once(carrier, "connect");
  const { socket } = await connectMtls({
    carrier,
    identity: new RotatingSvid(svid, bundle),
    trust: bundle,
    alpn: "sallyport/1",
    expect: ({ kind }) => kind === "router",
    handshakeTimeoutMs: 15_000,
  });
  const tunnel = new Tunnel(socket, { side: "workload", software: "crowd" });
  await tunnel.hello;
  return tunnel;
}

async function keep(door: Door, profile: Profile, onUp: () => void): Promise<never> {
  for (let failures = 0; ;) {
    try {
      const tunnel = await inTurn(() => openTunnel(door, profile));
      failures = 0;
      count.up += 1;
      onUp();
      await tunnel.closed;
      count.up -= 1;
      count.lost += 1;
    } catch {
      failures += 1;
      count.failed += 1;
    }
    const ceilingMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 16));
    await pause(ceilingMs * (0.25 + 0.75 * Math.random()));
  }
}

serveWorker<CrowdApi>({
  gather: async ({ profiles, folders, perProfile, router, network }) => {
    const at = router.lastIndexOf(":");
    const arrived: Promise<void>[] = [];
    for (const [index, name] of profiles.entries()) {
      const profile = await loadProfile(name, folders);
      const localAddress = `127.${network}.0.${index + 1}`;
      const door = { host: router.slice(0, at), port: Number(router.slice(at + 1)), localAddress };
      for (let tunnel = 0; tunnel < perProfile; tunnel += 1) {
        arrived.push(new Promise((resolve) => void keep(door, profile, resolve)));
        await pause(FIRST_COME_MS);
      }
    }
    await Promise.all(arrived);
  },
  count: () => ({ ...count }),
});
