import { PolicyServiceService } from "@sallyport/proto/policy";
import type { Bus, Runtime } from "@sallyport/service";
import type { PolicyConfig } from "./config.ts";
import { PolicyEvents } from "./events.ts";
import { HeadBeat } from "./head-beat.ts";
import { Publisher } from "./publisher.ts";
import { CALLER_RULES, policyService } from "./rpc/policy-service.ts";
import { CasBucket } from "./store/cas-bucket.ts";
import { PolicySource } from "./store/policy-source.ts";
import { PublishedPolicy } from "./store/published-policy.ts";

/** Earlier documents stay readable for this many changes. */
const SOURCE_HISTORY = 10;

/** What policy uses of its runtime. */
export type PolicyRuntime = Pick<
  Runtime<PolicyConfig>,
  "config" | "log" | "identity" | "readiness" | "grpc" | "signal"
> & {
  readonly bus: Pick<Bus, "kv">;
  readonly audit: Pick<Runtime<PolicyConfig>["audit"], "record">;
};

/** Puts the service together. Any number of replicas may run. */
export async function start({
  config,
  log,
  identity,
  bus,
  audit,
  readiness,
  grpc,
  signal,
}: PolicyRuntime): Promise<AsyncDisposable> {
  const waiting = readiness.block("the bus");
  const sourceBucket = await bus.kv("policy-source", { create: { history: SOURCE_HISTORY }, signal });
  const policyBucket = await bus.kv("policy", { create: { history: 1 }, signal });
  waiting[Symbol.dispose]();
  const source = new PolicySource(new CasBucket(sourceBucket));
  const published = new PublishedPolicy(new CasBucket(policyBucket), () => identity.bundle());
  const publisher = new Publisher({ source, published, identity });
  const events = new PolicyEvents(audit);
  grpc.add(
    PolicyServiceService,
    policyService({ trustDomain: config.trustDomain, source, published, publisher, events }),
    CALLER_RULES,
  );
  return new HeadBeat({ publisher, log, readiness });
}
