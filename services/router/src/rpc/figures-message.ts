import { Figures, type Link } from "@sallyport/proto/router";
import type { LoopDelay } from "../loop-delay.ts";
import type { Router } from "../router.ts";
import { drainMessage } from "./drain-message.ts";

export interface FiguresSources {
  readonly router: Router;
  readonly links: () => readonly Link[];
  readonly loopDelay: Pick<LoopDelay, "p99Ms">;
  readonly routerId: string;
}

export function figuresMessage({ router, links, loopDelay, routerId }: FiguresSources): Figures {
  const { switchboard, counters } = router;
  const hosts = switchboard.hosts.list();
  const { user, system } = process.cpuUsage();
  let queuedBytes = 0;
  for (const queue of [...switchboard.tunnels, ...router.links.tunnels]) queuedBytes += queue.queuedBytes;
  return Figures.create({
    timeUnixMs: Date.now(),
    routerId,
    tunnels: switchboard.tunnels.size,
    circuits: switchboard.circuits.size,
    hosts: hosts.length,
    hostsUp: hosts.filter(({ health }) => health.kind === "up").length,
    links: links().length,
    circuitsOpened: counters.circuitsOpened,
    circuitsRefused: counters.circuitsRefused,
    circuitsCut: counters.circuitsCut,
    tunnelsOpened: counters.tunnelsOpened,
    tunnelsRefused: counters.tunnelsRefused,
    bytesForwarded: switchboard.bytesForwarded,
    bytesCopied: counters.relay.bytesCopied,
    framesForwarded: counters.relay.framesForwarded,
    writes: counters.relay.writes,
    queuedBytes,
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    eventLoopDelayP99Ms: loopDelay.p99Ms,
    shed: counters.shed,
    drain: drainMessage(router.drain.phase),
  });
}
