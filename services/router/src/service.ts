import { RouterServiceService, type Link } from "@sallyport/proto/router";
import type { Readiness, ReadinessBlock, Runtime } from "@sallyport/service";
import type { RouterConfig } from "./config.ts";
import type { Drain } from "./domain/drain.ts";
import { LoopDelay } from "./loop-delay.ts";
import { Router } from "./router.ts";
import { drain } from "./rpc/drain.ts";
import { getFigures } from "./rpc/get-figures.ts";
import { getStatus } from "./rpc/get-status.ts";
import { kick } from "./rpc/kick.ts";
import { linkMessages } from "./rpc/link-message.ts";
import { listCircuits } from "./rpc/list-circuits.ts";
import { listHosts } from "./rpc/list-hosts.ts";
import { listLinks } from "./rpc/list-links.ts";
import { listTunnels } from "./rpc/list-tunnels.ts";
import { watch } from "./rpc/watch.ts";
import { PolicyMirror } from "./store/policy-mirror.ts";
import { auditBlocks } from "./subjects/audit-blocks.ts";
import { followPolicy } from "./subjects/policy-feed.ts";
import { announceRouter, followRouters } from "./subjects/router-presence.ts";

export async function start(runtime: Runtime<RouterConfig>): Promise<AsyncDisposable> {
  const { config, identity, bus, audit, log, grpc, readiness } = runtime;
  const ownId = identity.current().identity.id;
  const stop = new AbortController();
  const signal = AbortSignal.any([runtime.signal, stop.signal]);

  const mirror = new PolicyMirror({ bundle: () => identity.bundle() });
  releaseWhenFresh(readiness.block("policy snapshot"), mirror);
  void followPolicy({ bus, mirror, log, signal });

  const loopDelay = new LoopDelay();
  const router = await Router.open({
    identity,
    listen: config.routerListen,
    reusePort: config.reusePort,
    linkListen: config.linkListen,
    enrollAddress: config.enrollAddress,
    enrollmentAddress: config.enrollmentAddress,
    limits: config.limits,
    loopDelayMs: () => loopDelay.meanMs,
    mirror,
    record: (event) => audit.record({ routerId: ownId.uri, ...event }),
    publishBlock: auditBlocks(bus, ownId),
    onTrouble: (what, error) => log.debug({ err: error, what }, "a stream broke"),
  });
  const publicAddress = config.publicAddress ?? `${router.address.host}:${router.address.port}`;
  const linkAddress = config.linkAddress ?? linkAddressOf(router, config);
  log.info({ publicAddress, linkAddress }, "the public port is open");
  void announceRouter({
    bus,
    name: config.instance,
    presence: { routerId: ownId.uri, epoch: router.epoch, publicAddress, linkAddress },
    log,
    signal,
  });

  void followRouters({ bus, log, signal, onPresence: (presence) => router.links.learn(presence) });

  const { switchboard } = router;
  const links = (): readonly Link[] => linkMessages(router.links, switchboard.circuits);
  const figures = { router, links, loopDelay, routerId: ownId.uri };
  grpc.add(
    RouterServiceService,
    {
      getStatus: getStatus({ router, links, policy: mirror.state, bus, routerId: ownId.uri, publicAddress }),
      listTunnels: listTunnels(switchboard),
      listHosts: listHosts(switchboard),
      listCircuits: listCircuits(switchboard),
      listLinks: listLinks(links),
      getFigures: getFigures(figures),
      watch: watch({
        ...figures,
        onLinkChange: (listener) => router.links.onChange(listener),
        limits: config.limits,
        signal,
      }),
      drain: drain(router),
      kick: kick(switchboard),
    },
    {
      getStatus: "admin",
      listTunnels: "admin",
      listHosts: "admin",
      listCircuits: "admin",
      listLinks: "admin",
      getFigures: "admin",
      watch: "admin",
      drain: "admin",
      kick: "admin",
    },
  );

  blockWhenDraining(readiness, router.drain);

  return {
    [Symbol.asyncDispose]: async () => {
      await router[Symbol.asyncDispose]();
      stop.abort();
      loopDelay[Symbol.dispose]();
    },
  };
}

function linkAddressOf({ linkAddress }: Router, { linkListen, publicAddress }: RouterConfig): string {
  const ownPort = `${linkAddress.host}:${linkAddress.port}`;
  return linkListen === null ? (publicAddress ?? ownPort) : ownPort;
}

/** A router that does not know the deny-list admits nobody, so it is not ready either. */
function releaseWhenFresh(block: ReadinessBlock, mirror: PolicyMirror): void {
  const stop = mirror.onChange(() => {
    if (mirror.state.freshness().kind !== "fresh") return;
    stop();
    block[Symbol.dispose]();
  });
}

/** Nobody should be sent to a router that takes nothing new. It never serves again. */
function blockWhenDraining(readiness: Readiness, drain: Drain): void {
  const stop = drain.onChange(() => {
    stop();
    readiness.block("draining: it takes nothing new");
  });
}
