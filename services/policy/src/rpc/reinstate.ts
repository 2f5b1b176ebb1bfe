import type { PolicyServiceService } from "@sallyport/proto/policy";
import { peerOf, type Implementation } from "@sallyport/service";
import { checkSubject } from "../domain/check-subject.ts";
import { withoutEntry } from "../domain/deny-list.ts";
import { notPublished } from "../errors.ts";
import type { PolicyEvents } from "../events.ts";
import type { Publisher } from "../publisher.ts";
import type { PolicySource } from "../store/policy-source.ts";

export function reinstate(
  trustDomain: string,
  source: PolicySource,
  publisher: Publisher,
  events: PolicyEvents,
): Implementation<typeof PolicyServiceService>["reinstate"] {
  return async (request, call) => {
    const subject = checkSubject(request.subject, trustDomain);
    const { version } = await source.changeDenyList((list) => withoutEntry(list, subject));
    const head = await publisher.publish().catch((cause: unknown) => {
      throw notPublished("The reinstatement is stored", cause);
    });
    events.reinstated(peerOf(call), subject, version);
    return { denyListVersion: version, headSequence: head.sequence };
  };
}
