import { Event } from "@sallyport/proto/audit";
import { expect, test } from "vitest";
import { checkFilter } from "./filter.ts";
import { TailFeed } from "./tail-feed.ts";

const all = checkFilter(undefined);
const events = (count: number): Event[] => Array.from({ length: count }, () => Event.create());

test("a reader that falls 10,000 events behind is told so and costs nothing more", async () => {
  const feed = new TailFeed();
  const reader = feed.follow(all, new AbortController().signal);
  const first = reader.next();
  feed.publish(events(1));
  await first;
  feed.publish(events(10_001));
  await expect(reader.next()).rejects.toMatchObject({ code: "TAIL_TOO_SLOW" });
});

test("the 65th reader is refused, and let in when another one left", async () => {
  const feed = new TailFeed();
  const stop = new AbortController();
  const readers = Array.from({ length: 64 }, () => feed.follow(all, stop.signal));
  const waiting = readers.map((reader) => reader.next());
  await expect(feed.follow(all, stop.signal).next()).rejects.toMatchObject({ code: "TAIL_LIMIT_EXCEEDED" });
  stop.abort();
  await Promise.all(waiting);
  const late = feed.follow(all, new AbortController().signal).next();
  feed.publish(events(1));
  expect((await late).done).toBe(false);
});
