import { RouterServiceService } from "@sallyport/proto/router";
import type { ReadinessBlock, Runtime } from "@sallyport/service";
import type { RouterConfig } from "./config.ts";
import { Router } from "./router.ts";
import { getStatus } from "./rpc/get-status.ts";
import { listCircuits } from "./rpc/list-circuits.ts";
import { listHosts } from "./rpc/list-hosts.ts";
import { listTunnels } from "./rpc/list-tunnels.ts";
import { PolicyMirror } from "./store/policy-mirror.ts";
import { auditBlocks } from "./subjects/audit-blocks.ts";
import { followPolicy } from "./subjects/policy-feed.ts";
import { announceRouter } from "./subjects/router-presence.ts";

export async function start(runtime: Runtime<RouterConfig>): Promise<AsyncDisposable> {
  const { config, identity, bus, audit, log, grpc, readiness } = runtime;
  const ownId = identity.current().identity.id;
  const stop = new AbortController();
  const signal = AbortSignal.any([runtime.signal, stop.signal]);

  const mirror = new PolicyMirror({ bundle: () => identity.bundle() });
  releaseWhenFresh(readiness.block("policy snapshot"), mirror);
  void followPolicy({ bus, mirror, log, signal });

  const router = await Router.open({
    identity,
    listen: config.routerListen,
    enrollAddress: config.enrollAddress,
    enrollmentAddress: config.enrollmentAddress,
    limits: config.limits,
    mirror,
    record: (event) => audit.record({ routerId: ownId.uri, ...event }),
    publishBlock: auditBlocks(bus, ownId),
    onTrouble: (what, error) => log.debug({ err: error, what }, "a stream broke"),
  });
  const publicAddress = config.publicAddress ?? `${router.address.host}:${router.address.port}`;
  log.info({ publicAddress }, "the public port is open");
  void announceRouter({
    bus,
    name: config.instance,
    presence: { routerId: ownId.uri, epoch: router.epoch, publicAddress },
    log,
    signal,
  });

  const { switchboard } = router;
  grpc.add(
    RouterServiceService,
    {
      getStatus: getStatus({ router, policy: mirror.state, bus, routerId: ownId.uri, publicAddress }),
      listTunnels: listTunnels(switchboard),
      listHosts: listHosts(switchboard),
      listCircuits: listCircuits(switchboard),
    },
    { getStatus: "admin", listTunnels: "admin", listHosts: "admin", listCircuits: "admin" },
  );

  return {
    [Symbol.asyncDispose]: async () => {
      await router[Symbol.asyncDispose]();
      stop.abort();
    },
  };
}

/** A router that does not know the deny-list admits nobody, so it is not ready either. */
function releaseWhenFresh(block: ReadinessBlock, mirror: PolicyMirror): void {
  const stop = mirror.onChange(() => {
    if (mirror.state.freshness().kind !== "fresh") return;
    stop();
    block[Symbol.dispose]();
  });
}
