import { createHash } from "node:crypto";

/** Above what distributions, systemd and subordinate ranges hand out; below 2^31. */
const firstUid = 0x6000_0000;
const uidBits = 24;

/** The uid and gid of a service's processes: the same at each start, another one for (almost surely) every other service. */
export function serviceUid(service: string): number {
  const digest = createHash("sha256").update(`sallyport-service-uid/1\0${service}`).digest();
  return firstUid + (digest.readUInt32BE(0) >>> (32 - uidBits));
}
