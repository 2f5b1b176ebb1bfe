import { encodeDenyList, MAX_PAYLOAD_BYTES } from "@sallyport/policy-engine";
import type { DenyList, PolicyServiceService } from "@sallyport/proto/policy";
import { peerOf, type Implementation } from "@sallyport/service";
import { checkSubject } from "../domain/check-subject.ts";
import { withEntry } from "../domain/deny-list.ts";
import { limitExceeded, notPublished } from "../errors.ts";
import type { PolicyEvents } from "../events.ts";
import type { Publisher } from "../publisher.ts";
import type { PolicySource } from "../store/policy-source.ts";

const MAX_REASON_CHARACTERS = 256;

export function revoke(
  trustDomain: string,
  source: PolicySource,
  publisher: Publisher,
  events: PolicyEvents,
): Implementation<typeof PolicyServiceService>["revoke"] {
  return async (request, call) => {
    const subject = checkSubject(request.subject, trustDomain);
    const { reason } = request;
    if (reason.length > MAX_REASON_CHARACTERS)
      throw limitExceeded("The reason is too long.", `Use at most ${MAX_REASON_CHARACTERS} characters.`, "reason");
    const timeUnixMs = Date.now();
    const { version } = await source.changeDenyList((list) => checkSize(withEntry(list, subject, reason, timeUnixMs)));
    const head = await publisher.publish().catch((cause: unknown) => {
      throw notPublished("The revocation is stored", cause);
    });
    events.revoked(peerOf(call), { subject, reason, version, timeUnixMs });
    return { denyListVersion: version, headSequence: head.sequence };
  };
}

function checkSize(list: DenyList): DenyList {
  if (encodeDenyList(list).length <= MAX_PAYLOAD_BYTES) return list;
  throw limitExceeded(
    "The deny-list is full.",
    "Reinstate what has expired, or revoke the issuer of many at once.",
    "subject",
  );
}
