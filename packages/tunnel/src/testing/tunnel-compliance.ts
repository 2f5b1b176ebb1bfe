/**
 * What any implementation of a tunnel's end must do, whatever runs the tests:
 *
 *     test.for(tunnelCompliance)("$title", ({ run }) => run({ create, carriers }));
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { INITIAL_WINDOW_BYTES, WireCode } from "@sallyport/frame";
import { type Control, HostAnnounce, Refusal, StreamAccept, type StreamOpen } from "@sallyport/proto/tunnel";
import type { IncomingStream } from "../incoming-stream.ts";
import type { OpenResult } from "../opening-stream.ts";
import type { TunnelEndpoint } from "../tunnel-endpoint.ts";
import type { TunnelOptions } from "../tunnel-options.ts";
import type { TunnelStream } from "../tunnel-stream.ts";
import { acceptor, dial, echo, errorOf, type ComplianceCase, type ComplianceSubject } from "./compliance-case.ts";
import { scriptedCompliance } from "./scripted-compliance.ts";

interface Ends {
  readonly workload: TunnelEndpoint;
  readonly router: TunnelEndpoint;
}

async function withTunnel(
  subject: ComplianceSubject,
  options: { readonly router?: Partial<TunnelOptions>; readonly workload?: Partial<TunnelOptions> },
  use: (ends: Ends) => Promise<void>,
): Promise<void> {
  const [near, far] = await subject.carriers();
  const router = subject.create(near, {
    side: "router",
    software: "compliance/1",
    routerId: "spiffe://example/router/r",
    routerEpoch: 7,
    ...options.router,
  });
  const workload = subject.create(far, { side: "workload", software: "compliance/1", ...options.workload });
  try {
    await use({ workload, router });
  } finally {
    await Promise.all([workload.close(), router.close()]);
  }
}

function accepted(result: OpenResult): TunnelStream {
  assert.equal(result.kind, "accepted");
  if (result.kind !== "accepted") throw new Error("unreachable: asserted above");
  return result.stream;
}

const pattern = (bytes: number, seed: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + seed) & 0xff));

const behaviours: readonly ComplianceCase[] = [
  {
    title: "each side learns the other's hello",
    run: (subject) =>
      withTunnel(subject, { workload: { maxStreams: 11 } }, async ({ workload, router }) => {
        assert.deepEqual(await workload.hello, {
          protocolVersion: 1,
          maxStreams: 256,
          initialWindowBytes: INITIAL_WINDOW_BYTES,
          software: "compliance/1",
          routerId: "spiffe://example/router/r",
          routerEpoch: 7,
        });
        assert.deepEqual(await router.hello, {
          protocolVersion: 1,
          maxStreams: 11,
          initialWindowBytes: INITIAL_WINDOW_BYTES,
          software: "compliance/1",
          routerId: "",
          routerEpoch: 0,
        });
      }),
  },
  {
    title: "both sides open streams, and both ends see what was said in opening them",
    run: async (subject) => {
      const opened: StreamOpen[] = [];
      const onOpen = (incoming: IncomingStream): void => {
        opened.push(incoming.open);
        incoming.accept(StreamAccept.create({ circuitId: "c-9", sliceVersion: 4 })).on("error", () => {});
      };
      await withTunnel(subject, { router: { onOpen }, workload: { onOpen } }, async ({ workload, router }) => {
        for (const side of [workload, router]) {
          const result = await side.openStream(dial);
          assert.equal(result.kind === "accepted" && result.accept.circuitId, "c-9");
        }
        assert.deepEqual(opened, [dial, dial]);
      });
    },
  },
  {
    title: "a megabyte comes back as it was sent, far beyond the window",
    run: (subject) =>
      withTunnel(subject, { router: { onOpen: echo } }, async ({ workload }) => {
        const stream = accepted(await workload.openStream(dial));
        const bytes = pattern(1_300_000, 1);
        stream.end(bytes);
        assert.ok((await buffer(stream)).equals(bytes));
      }),
  },
  {
    title: "two hundred streams at once each carry their own bytes",
    run: (subject) =>
      withTunnel(subject, { router: { onOpen: echo } }, async ({ workload }) => {
        const all = Array.from({ length: 200 }, async (_, index) => {
          const stream = accepted(await workload.openStream(dial));
          const bytes = pattern(20_000 + index, index);
          stream.end(bytes);
          assert.ok((await buffer(stream)).equals(bytes));
        });
        await Promise.all(all);
      }),
  },
  {
    title: "one byte at a time arrives, to a reader that is behind",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      await withTunnel(subject, { router: { onOpen } }, async ({ workload }) => {
        const writer = accepted(await workload.openStream(dial));
        const bytes = pattern(60_000, 5);
        for (const byte of bytes) writer.write(Buffer.from([byte]));
        writer.end();
        const reader = await stream;
        await once(writer, "finish");
        assert.ok((await buffer(reader)).equals(bytes));
      });
    },
  },
  {
    title: "ending one direction leaves the other open",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      await withTunnel(subject, { router: { onOpen } }, async ({ workload }) => {
        const near = accepted(await workload.openStream(dial));
        const far = await stream;
        near.end("request");
        assert.equal(String(await buffer(far)), "request");
        far.end("answer");
        assert.equal(String(await buffer(near)), "answer");
      });
    },
  },
  {
    title: "a refusal reaches the dialer with its code, decision and rules",
    run: async (subject) => {
      const refusal = Refusal.create({
        code: "POLICY_DENIED",
        message: "No.",
        decisionId: "d-1",
        ruleIds: ["r-1", "r-2"],
        sliceVersion: 3,
      });
      await withTunnel(
        subject,
        { router: { onOpen: (incoming) => incoming.refuse(refusal) } },
        async ({ workload }) => {
          assert.deepEqual(await workload.openStream(dial), { kind: "refused", refusal });
        },
      );
    },
  },
  {
    title: "a reader that does not read holds its writer to the window, and no other stream",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      let opened = 0;
      await withTunnel(
        subject,
        { router: { onOpen: (incoming) => (opened++ === 0 ? onOpen(incoming) : echo(incoming)) } },
        async ({ workload }) => {
          const slow = accepted(await workload.openStream(dial));
          slow.write(Buffer.alloc(INITIAL_WINDOW_BYTES * 4));
          await stream;
          const quick = accepted(await workload.openStream(dial));
          quick.end(pattern(500_000, 2));
          assert.equal((await buffer(quick)).length, 500_000);
          assert.ok(slow.writableLength > 0, "the slow stream's write is still waiting");
          assert.ok(
            (await stream).readableLength <= INITIAL_WINDOW_BYTES,
            "no more than the window waits for the slow reader",
          );
        },
      );
    },
  },
  {
    title: "a reset reaches the peer with its code, and unread bytes are gone",
    run: async (subject) => {
      const { onOpen, stream } = acceptor();
      await withTunnel(subject, { router: { onOpen } }, async ({ workload }) => {
        const near = accepted(await workload.openStream(dial));
        const far = await stream;
        near.write("bytes that nobody reads");
        near.reset(WireCode.revoked);
        const error = await errorOf(far);
        assert.ok(
          error instanceof Error &&
            "code" in error &&
            error.code === "STREAM_RESET" &&
            "wireCode" in error &&
            error.wireCode === WireCode.revoked,
        );
        assert.equal(far.read(), null);
      });
    },
  },
  {
    title: "a dialer that gives up withdraws its offer",
    run: async (subject) => {
      const offered = Promise.withResolvers<IncomingStream>();
      await withTunnel(subject, { router: { onOpen: offered.resolve } }, async ({ workload }) => {
        const giveUp = new AbortController();
        const dialing = workload.openStream(dial, { signal: giveUp.signal });
        const incoming = await offered.promise;
        giveUp.abort(new Error("enough"));
        await assert.rejects(dialing, { message: "enough" });
        if (!incoming.signal.aborted) await once(incoming.signal, "abort");
        assert.throws(() => incoming.accept(StreamAccept.create()), { code: "STREAM_ANSWERED" });
      });
    },
  },
  {
    title: "control messages arrive in order",
    run: async (subject) => {
      const received: Control[] = [];
      const sent = Array.from({ length: 100 }, (_, index): Control => ({
        message: { $case: "hostAnnounce", value: HostAnnounce.create({ service: `s-${index}` }) },
      }));
      await withTunnel(
        subject,
        { router: { onControl: (message) => void received.push(message), onOpen: echo } },
        async ({ workload }) => {
          for (const message of sent) workload.sendControl(message);
          await workload.openStream(dial);
          assert.deepEqual(received, sent);
        },
      );
    },
  },
  {
    title: "more streams than the peer takes are refused as OVERLOADED, and taken again once some are over",
    run: (subject) =>
      withTunnel(subject, { router: { maxStreams: 2, onOpen: echo } }, async ({ workload }) => {
        const first = accepted(await workload.openStream(dial));
        await workload.openStream(dial);
        const third = await workload.openStream(dial);
        assert.equal(third.kind === "refused" && third.refusal.code, "OVERLOADED");
        first.end();
        await buffer(first);
        assert.equal((await workload.openStream(dial)).kind, "accepted");
      }),
  },
  {
    title: "a draining side finishes what is open, takes nothing new, and then ends",
    run: async (subject) => {
      const goaway = Promise.withResolvers<void>();
      await withTunnel(
        subject,
        { router: { onOpen: echo }, workload: { onGoaway: goaway.resolve } },
        async ({ workload, router }) => {
          const stream = accepted(await workload.openStream(dial));
          router.drain();
          await goaway.promise;
          const late = await workload.openStream(dial);
          assert.equal(late.kind === "refused" && late.refusal.code, "DRAINING");
          stream.end(pattern(400_000, 3));
          assert.equal((await buffer(stream)).length, 400_000);
          assert.deepEqual(await router.closed, { kind: "drained" });
          assert.equal((await workload.closed).kind, "ended");
        },
      );
    },
  },
  {
    title: "an abort ends every stream and every dial as an error, and tells the peer why",
    run: (subject) =>
      withTunnel(
        subject,
        { router: { onOpen: (incoming) => void (incoming.open.service === "files" && echo(incoming)) } },
        async ({ workload, router }) => {
          const stream = accepted(await workload.openStream(dial));
          const unanswered = workload.openStream({ ...dial, service: "unanswered" });
          router.abort(WireCode.revoked);
          await Promise.all([assert.rejects(unanswered, { code: "TUNNEL_ENDED" }), errorOf(stream)]);
          assert.deepEqual(await router.closed, { kind: "aborted", code: WireCode.revoked });
          assert.deepEqual(await workload.closed, { kind: "goaway", code: WireCode.revoked });
          await assert.rejects(workload.openStream(dial), { code: "TUNNEL_ENDED" });
        },
      ),
  },
];

export const tunnelCompliance: readonly ComplianceCase[] = [...behaviours, ...scriptedCompliance];
