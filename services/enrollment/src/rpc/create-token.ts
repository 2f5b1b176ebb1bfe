import type { EventInput } from "@sallyport/audit-log";
import { rootFingerprint, type TrustBundle } from "@sallyport/identity";
import type { CreateTokenRequest, CreateTokenResponse } from "@sallyport/proto/enrollment";
import { peerOf, type UnaryHandler } from "@sallyport/service";
import { newToken } from "../domain/create-token.ts";
import type { TokenStore } from "../domain/ports.ts";
import { formatToken } from "../domain/token-text.ts";
import { EnrollmentError } from "../errors.ts";
import { tokenCreated } from "../events.ts";
import { answering } from "./failure.ts";

export function createToken(options: {
  readonly tokens: TokenStore;
  readonly routers: readonly string[];
  readonly bundle: () => TrustBundle;
  readonly record: (event: EventInput) => void;
}): UnaryHandler<CreateTokenRequest, CreateTokenResponse> {
  const { tokens, routers, bundle, record } = options;
  return (request, call) =>
    answering(async () => {
      const creator = peerOf(call);
      const { trustDomain, roots } = bundle();
      const [root] = roots;
      if (root === undefined) throw new EnrollmentError("STORE_UNAVAILABLE", "The trust bundle has no root.");
      const { token, secret } = newToken({ ...request, createdBy: creator.identity.id.uri }, Date.now());
      await tokens.create(token);
      record(tokenCreated(token, creator));
      const text = formatToken({ trustDomain, rootFingerprint: rootFingerprint(root), routers, id: token.id, secret });
      return { tokenId: token.id, token: text, expiresAtUnixMs: token.expiresAtUnixMs };
    });
}
