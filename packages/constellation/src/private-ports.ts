import type { PrivatePorts, RouterEntry } from "./network-file.ts";
import { choosePorts } from "./ports.ts";

type Routers = readonly [RouterEntry, ...RouterEntry[]];

const noPorts: PrivatePorts = { nats: 0, ca: 0, enrollment: 0, enroll: 0, policy: 0, audit: 0 };

/** Every private port: the one that it was where that is free, else another. All are held until the last was chosen, so that no two are the same. */
export async function choosePrivatePorts(
  wanted: PrivatePorts | undefined,
  routers: Routers,
): Promise<{ readonly ports: PrivatePorts; readonly routers: Routers }> {
  const { nats, ca, enrollment, enroll, policy, audit } = wanted ?? noPorts;
  const ofRouters = routers.flatMap(({ grpcPort, linkPort }) => [grpcPort, linkPort]);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, ...rest] = await choosePorts("127.0.0.1", [
    nats,
    ca,
    enrollment,
    enroll,
    policy,
    audit,
    ...ofRouters,
  ]);
  const [first, ...others] = routers;
  const withPorts = (router: RouterEntry, at: number): RouterEntry => ({
    ...router,
    grpcPort: rest[2 * at] ?? 0,
    linkPort: rest[2 * at + 1] ?? 0,
  });
  return {
    ports: { nats: a, ca: b, enrollment: c, enroll: d, policy: e, audit: f },
    routers: [withPorts(first, 0), ...others.map((router, at) => withPorts(router, at + 1))],
  };
}
