import type { Event } from "@sallyport/proto/audit";
import type { Colors } from "../terminal.ts";

/** One event in one line: when, what, who, where, how it was decided, what came of it. */
export function renderEvent(event: Event, colors: Colors): string {
  const { dim, bold } = colors;
  const parts = [
    dim(new Date(event.timeUnixMs).toISOString().slice(11, 23)),
    bold(event.kind.padEnd(18)),
    dim(event.vantage.padEnd(10)),
    event.actorName,
    target(event),
    shorten(event.argumentsJson, 80),
    verdict(event, colors),
    outcome(event, colors),
    facts(event),
  ];
  return parts.filter((part) => part !== "").join("  ");
}

function target({ service, tool }: Event): string {
  if (service === "") return "";
  return `→ ${service}${tool === "" ? "" : `.${tool}`}`;
}

function verdict({ decision, ruleIds, decisionId, reason }: Event, { green, red, dim }: Colors): string {
  if (decision === "") return "";
  const rules = ruleIds.length === 0 ? "" : ` by ${ruleIds.join(", ")}`;
  if (decision === "allow") return `${green("allow")}${dim(rules)}`;
  return `${red("deny")}${rules}${reason === "" ? "" : ` (${shorten(reason, 80)})`} ${dim(decisionId)}`;
}

function outcome({ outcome: how, errorCode }: Event, { red, dim }: Colors): string {
  if (how === "") return "";
  const text = errorCode === "" ? how : `${how} ${errorCode}`;
  return how === "ok" ? dim(text) : red(text);
}

function facts({ durationUs, bytesSent, bytesReceived }: Event): string {
  const texts: string[] = [];
  if (durationUs > 0) texts.push(`${(durationUs / 1_000).toFixed(1)} ms`);
  if (bytesSent + bytesReceived > 0) texts.push(`${bytesSent + bytesReceived} bytes`);
  return texts.join(", ");
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
