import { Event } from "@sallyport/proto/audit";
import pc from "picocolors";
import { expect, test } from "vitest";
import { EventLines } from "./event.ts";

const plain = pc.createColors(false);
const at = Date.UTC(2026, 10, 23, 16, 30, 6, 341);

const allowed = Event.fromPartial({
  timeUnixMs: at,
  vantage: "host",
  kind: "call.finished",
  actorName: "agent",
  service: "files",
  tool: "read_text_file",
  argumentsJson: '{"path":"a"}',
  decision: "allow",
  ruleIds: ["readers"],
  outcome: "ok",
  durationUs: 1_240,
});
const refused = Event.fromPartial({
  timeUnixMs: at,
  vantage: "dialer",
  kind: "circuit.refused",
  actorId: "spiffe://sallyport.local/workload/a-long-name/3f2a91c0",
  service: "files",
  decision: "deny",
  decisionId: "01a2093e-4a32-7692-a423-a82f5a9976d6",
  outcome: "denied",
  reason: "no rule",
});

test("events whose lines are known before stand in columns, below the day that they belong to", () => {
  const events = [allowed, refused];
  const lines = new EventLines(plain, events);
  expect(events.flatMap((event) => lines.of(event))).toEqual([
    "2026-11-23, times in UTC",
    '16:30:06.341  host    call.finished    agent        files/read_text_file {"path":"a"}  ok by readers  1.2 ms',
    "16:30:06.341  dialer  circuit.refused  a-long-name  files                              denied",
    "              ↳ no rule · decision 01a2093e-4a32-7692-a423-a82f5a9976d6",
  ]);
});

test("a day is told when it begins, and not again", () => {
  const lines = new EventLines(plain);
  const tomorrow = { ...allowed, timeUnixMs: at + 86_400_000 };
  expect([allowed, allowed, tomorrow].map((event) => lines.of(event).length)).toEqual([2, 1, 2]);
});

test("long arguments and reasons are cut", () => {
  const long = { ...refused, tool: "t", argumentsJson: `{"text":"${"x".repeat(500)}"}`, reason: "y".repeat(500) };
  for (const line of new EventLines(plain).of(long)) expect(line.length).toBeLessThan(260);
});

test("a caller cannot rewrite the record on the screen by the name of a tool", () => {
  const forged = "x\u001b[2K\r16:30:06.341  host    call.finished    agent  files/echo  ok\n\u009b1A\u202e";
  const lines = new EventLines(plain).of({
    ...refused,
    service: "files",
    tool: forged,
    reason: forged,
    actorName: forged,
  });
  expect(lines.length).toBe(3);
  for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(lines[1]).toContain("files/x\\u{1b}[2K\\u{d}16:30:06.341");
});
