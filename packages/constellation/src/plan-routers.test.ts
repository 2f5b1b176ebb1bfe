import { expect, test } from "vitest";
import { planRouters } from "./plan-routers.ts";

test("routers share the one public port, chosen once", async () => {
  const [first, ...others] = await planRouters([], {}, 3);
  expect(first.listen).toMatch(/^127\.0\.0\.1:[1-9]\d+$/);
  expect(others.map(({ name, listen, publicAddress }) => [name, listen, publicAddress])).toEqual([
    ["2", first.listen, first.listen],
    ["3", first.listen, first.listen],
  ]);
});

test("routers with ports of their own keep them apart, later ones too", async () => {
  const routers = await planRouters([], { routerListen: ["127.0.0.1:0", "127.0.0.1:0"] }, 2);
  const more = await planRouters(routers, {}, 3);
  expect(more.slice(0, 2)).toEqual(routers);
  expect(new Set(more.map(({ listen }) => listen)).size).toBe(3);
});

test("a router that does not run is kept as it was", async () => {
  const routers = await planRouters([], { routerListen: ["127.0.0.1:0", "127.0.0.1:0"] }, 2);
  expect(await planRouters(routers, {}, 1)).toEqual(routers);
  expect(await planRouters(routers, { publicAddress: "door:8443" }, 1)).toEqual([
    { ...routers[0], publicAddress: "door:8443" },
    routers[1],
  ]);
});

test("one public address is that of all, several are one for each", async () => {
  const listen = "0.0.0.0:8443";
  const shared = await planRouters([], { routerListen: listen, publicAddress: "door:8443" }, 2);
  expect(shared.map((router) => [router.listen, router.publicAddress])).toEqual([
    [listen, "door:8443"],
    [listen, "door:8443"],
  ]);
  const apart = await planRouters(shared, { publicAddress: ["door:8443", "side-door:8443"] }, 2);
  expect(apart.map(({ publicAddress }) => publicAddress)).toEqual(["door:8443", "side-door:8443"]);
});

test.each([0, 17, 1.5])("%d routers are refused", async (routers) => {
  await expect(planRouters([], {}, routers)).rejects.toMatchObject({ code: "ROUTERS_INVALID" });
});

test.each(["8443", "127.0.0.1:70000", ":1"])("to listen on %s is refused", async (routerListen) => {
  await expect(planRouters([], { routerListen }, 1)).rejects.toMatchObject({ code: "ADDRESS_INVALID" });
});
