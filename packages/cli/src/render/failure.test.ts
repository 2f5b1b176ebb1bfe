import pc from "picocolors";
import { expect, test } from "vitest";
import { failureOf } from "../failure.ts";
import { renderFailure } from "./failure.ts";

test("what a host says in its refusal cannot command the terminal of who dialed", () => {
  const said = Object.assign(new Error("The host refused: \u001b]0;owned\u0007\u001b[2J"), {
    code: "DIAL_REFUSED",
    refusal: { decisionId: "\u001b[1A" },
    metadata: { service: "\u009b1A" },
  });
  const shown = renderFailure(failureOf(said), pc.createColors(false));
  expect(shown.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
});
