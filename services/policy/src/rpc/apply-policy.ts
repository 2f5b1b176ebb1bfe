import type { PolicyServiceService } from "@sallyport/proto/policy";
import { peerOf, type Implementation } from "@sallyport/service";
import { nextPolicy, type StoredPolicy } from "../domain/stored-policy.ts";
import { documentMissing, notPublished, versionConflict } from "../errors.ts";
import type { PolicyEvents } from "../events.ts";
import type { Publisher } from "../publisher.ts";
import type { PolicySource } from "../store/policy-source.ts";

type ApplyPolicy = Implementation<typeof PolicyServiceService>["applyPolicy"];

export function applyPolicy(source: PolicySource, publisher: Publisher, events: PolicyEvents): ApplyPolicy {
  return async ({ document, expectedVersion, dryRun }, call) => {
    if (document === undefined) throw documentMissing();
    const denyListVersion = (await source.readDenyList()).value.version;
    let warnings: readonly string[] = [];
    const compile = (before: StoredPolicy): StoredPolicy => {
      if (expectedVersion !== 0 && expectedVersion !== before.version)
        throw versionConflict(expectedVersion, before.version);
      const next = nextPolicy(before, document, denyListVersion);
      warnings = next.warnings;
      return next.policy;
    };
    if (dryRun)
      return { version: compile((await source.readPolicy()).value).version, headSequence: 0, warnings: [...warnings] };
    const { version } = await source.changePolicy(compile);
    const head = await publisher.publish().catch((cause: unknown) => {
      throw notPublished(`Version ${version} is stored`, cause);
    });
    events.applied(peerOf(call), {
      version,
      headSequence: head.sequence,
      services: document.services.length,
      workloads: document.workloads.length,
    });
    return { version, headSequence: head.sequence, warnings: [...warnings] };
  };
}
