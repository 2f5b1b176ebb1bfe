import type { Event } from "@sallyport/proto/audit";
import type { Colors } from "../terminal.ts";
import { Columns, type Cell } from "./columns.ts";
import { printable } from "./printable.ts";
import { formatBytes, formatMs } from "./quantity.ts";

/** Longer arguments are cut; `--json` has them whole. */
const MAX_ARGUMENT_CHARACTERS = 60;
const MAX_REASON_CHARACTERS = 160;

/** Widths where nothing is known before: time, witness, kind, actor, target. Most events fit. */
const LEAST_WIDTHS = [12, 10, 17, 16, 32];
const TIME_CHARACTERS = 12;

/** Events as a person reads them: a line each, columns aligned, a heading for each day, and below a refusal its reason and decision. */
export class EventLines {
  readonly #columns: Columns;
  readonly #colors: Colors;
  #day = "";

  /** @param known events that will be shown, where they are known before: their columns are aligned from the first line on */
  constructor(colors: Colors, known: readonly Event[] = []) {
    this.#colors = colors;
    this.#columns = new Columns(known.length === 0 ? LEAST_WIDTHS : []);
    for (const event of known) this.#columns.fit(this.#cells(event));
  }

  of(event: Event): readonly string[] {
    const { dim } = this.#colors;
    const day = new Date(event.timeUnixMs).toISOString().slice(0, 10);
    const heading = day === this.#day ? [] : [dim(`${day}, times in UTC`)];
    this.#day = day;
    const below = printable(why(event));
    return [
      ...heading,
      this.#columns.line(this.#cells(event)),
      ...(below === "" ? [] : [dim(`${" ".repeat(TIME_CHARACTERS)}  ↳ ${below}`)]),
    ];
  }

  #cells(event: Event): readonly Cell[] {
    const { dim, bold, cyan } = this.#colors;
    const cells: readonly Cell[] = [
      { text: new Date(event.timeUnixMs).toISOString().slice(11, 23), paint: dim },
      { text: event.vantage, paint: dim },
      { text: event.kind, paint: bold },
      { text: event.actorName === "" ? nameIn(event.actorId) : event.actorName, paint: cyan },
      { text: target(event) },
      result(event, this.#colors),
      { text: effort(event), paint: dim },
    ];
    return cells.map((cell) => ({ ...cell, text: printable(cell.text) }));
  }
}

function target({ service, tool, argumentsJson }: Event): string {
  const call = tool === "" ? service : `${service}/${tool}`;
  return argumentsJson === "" || argumentsJson === "{}"
    ? call
    : `${call} ${shorten(argumentsJson, MAX_ARGUMENT_CHARACTERS)}`;
}

function result({ decision, outcome, errorCode, ruleIds }: Event, { green, red, dim }: Colors): Cell {
  const rules = ruleIds.length === 0 ? "" : ` by ${ruleIds.join(", ")}`;
  if (decision === "deny") return { text: `denied${rules}`, paint: red };
  if (outcome !== "" && outcome !== "ok")
    return { text: errorCode === "" ? outcome : `${outcome} ${errorCode}`, paint: red };
  if (decision === "allow") return { text: `${outcome === "ok" ? "ok" : "allowed"}${rules}`, paint: green };
  return { text: outcome, paint: dim };
}

function effort({ durationUs, bytesSent, bytesReceived }: Event): string {
  const texts: string[] = [];
  if (durationUs > 0) texts.push(formatMs(durationUs / 1_000));
  if (bytesSent + bytesReceived > 0) texts.push(formatBytes(bytesSent + bytesReceived));
  return texts.join(", ");
}

/** What a person asks next after a refusal or a failure. */
function why({ decision, outcome, reason, decisionId }: Event): string {
  if (decision !== "deny" && (outcome === "" || outcome === "ok")) return "";
  return [shorten(reason, MAX_REASON_CHARACTERS), decisionId === "" ? "" : `decision ${decisionId}`]
    .filter((text) => text !== "")
    .join(" · ");
}

/** `agent` of `spiffe://…/workload/agent/3f2a91c0`. */
function nameIn(spiffeId: string): string {
  return spiffeId.split("/")[4] ?? spiffeId;
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
