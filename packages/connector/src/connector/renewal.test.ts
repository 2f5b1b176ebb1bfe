import { workloadId } from "@sallyport/identity";
import { afterEach, expect, test } from "vitest";
import { enrollmentService, type EnrollmentService } from "../enroll/enrollment-service.test-support.ts";
import { loadProfile } from "../profile/profile-store.ts";
import { Connector } from "./connector.ts";
import { connectorWorld, type ConnectorWorld } from "./connector-world.test-support.ts";

let world: ConnectorWorld;
let service: EnrollmentService;
const open: Connector[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((connector) => connector[Symbol.asyncDispose]()));
  await world[Symbol.asyncDispose]();
});

async function start(): Promise<void> {
  world = await connectorWorld({
    script: { onEnrollment: (stream) => void service.serve(stream, "required").catch(() => stream.destroy()) },
  });
  service = await enrollmentService({
    authority: world.authority,
    subject: workloadId("sallyport.local", "host", "1"),
    routers: [world.router.address],
  });
}

async function connector(name: string): Promise<Connector> {
  const opened = await Connector.open({ profile: await loadProfile(name, world.folders), log: world.log });
  open.push(opened);
  return opened;
}

/** A certificate that is past half of its life, and lives for another quarter hour. */
const pastHalf = (): { readonly ttlSeconds: number; readonly now: Date } => ({
  ttlSeconds: 3600,
  now: new Date(Date.now() - 2_700_000),
});

test("past half of its life a certificate is renewed through the tunnel, and a fresh tunnel carries the hosts on", async () => {
  await start();
  const before = await world.profile("host", pastHalf());
  const host = await connector("host");
  host.host("files", "tcp", () => undefined);
  await world.router.until(
    () => world.router.tunnelsSeen === 2 && world.router.tunnels.length === 1 && world.router.hosted.has("files"),
  );
  expect(host.svid.serial).not.toBe(before.svid.serial);
  expect(service.renewRequests).toMatchObject([{ generation: 1 }]);
  expect((await loadProfile("host", world.folders)).svid.serial).toBe(host.svid.serial);
});

test("of two that share a profile one renews, and the other takes its result", async () => {
  await start();
  await world.profile("host", pastHalf());
  const [one, other] = await Promise.all([connector("host"), connector("host")]);
  await world.router.until(() => world.router.tunnelsSeen === 4 && world.router.tunnels.length === 2);
  expect(one.svid.serial).toBe(other.svid.serial);
  expect(service.renewRequests.length).toBe(1);
});

test("a renewal whose answer is lost is made again with the same key", async () => {
  await start();
  service.loseAnswers = 1;
  const before = await world.profile("host", pastHalf());
  const host = await connector("host");
  await world.router.until(() => world.router.tunnelsSeen === 2);
  expect(host.svid.serial).not.toBe(before.svid.serial);
  expect(service.renewRequests.length).toBe(2);
});
