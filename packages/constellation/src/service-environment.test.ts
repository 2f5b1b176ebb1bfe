import { expect, test } from "vitest";
import { inherited, inheritedLimits } from "./service-environment.ts";

const env = {
  PATH: "/bin",
  HOME: "/home/x",
  SALLYPORT_LIMIT_MAX_TUNNELS: "7",
  SALLYPORT_STATE: "/s",
  AWS_SECRET: "no",
};

test("of our environment a service gets what every program needs, and nothing else", () => {
  expect(inherited(env)).toEqual({ PATH: "/bin", HOME: "/home/x" });
});

test("routers get their limits from it, too", () => {
  expect(inheritedLimits(env)).toEqual({ SALLYPORT_LIMIT_MAX_TUNNELS: "7" });
});
