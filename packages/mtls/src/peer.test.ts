import { once } from "node:events";
import { duplexPair } from "node:stream";
import { connect, createServer, type TLSSocket } from "node:tls";
import { routerId, workloadId } from "@sallyport/identity";
import { createTestAuthority } from "@sallyport/testing";
import { expect, test } from "vitest";
import { provenPeer, sentCertificates } from "./peer.ts";
import { contextOptions } from "./secure-context.ts";

test("a resumed session proves nobody", async () => {
  const own = await createTestAuthority("a.org");
  const [router, agent] = [
    await own.issue(routerId("a.org", "r1")),
    await own.issue(workloadId("a.org", "agent", "one")),
  ];
  // A listener as Node makes it by default: with tickets.
  const server = createServer({
    ...contextOptions(router, own.bundle.roots),
    secureOptions: 0,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const dial = async (
    session?: Buffer,
  ): Promise<{ readonly accepted: TLSSocket; readonly session: Buffer | undefined }> => {
    const [near, far] = duplexPair();
    const accepting = once(server, "secureConnection");
    server.emit("connection", far);
    const client = connect({
      ...contextOptions(agent, own.bundle.roots),
      socket: near,
      servername: "",
      checkServerIdentity: () => undefined,
      ...(session && { session }),
    });
    const offering = once(client, "session");
    const [accepted] = await accepting;
    accepted.write("x");
    await once(client, "data");
    const [ticket] = session === undefined ? await offering : [undefined];
    return { accepted, session: ticket };
  };
  const first = await dial();
  const second = await dial(first.session);
  expect(second.accepted.authorized).toBe(true);
  expect(() =>
    provenPeer(second.accepted, sentCertificates(second.accepted, []), { bundle: own.bundle, extraRoots: [] }, null),
  ).toThrow(expect.objectContaining({ code: "SESSION_RESUMED" }));
});
