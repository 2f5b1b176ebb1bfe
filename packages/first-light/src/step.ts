import type { Event } from "@sallyport/proto/audit";

/** In the order of the story. */
export const stepNames = [
  "enrolled",
  "tools-listed",
  "allowed-call",
  "denied-tool",
  "denied-argument",
  "unreachable-service",
  "dark",
  "revoked",
  "audited",
] as const;

export type StepName = (typeof stepNames)[number];

export type Fact = string | number | boolean | readonly string[];

/** A row that must be in the record because of what a step did. */
export interface ExpectedRow {
  /** For people: "the refused get-env". */
  readonly what: string;
  /** Every field must be as given; for `ruleIds` and `argumentsJson` it must contain what is given. */
  readonly fields: Partial<Pick<Event, ExactField>> & {
    readonly ruleIds?: readonly string[];
    readonly argumentsContain?: string;
  };
}

type ExactField =
  | "actorName"
  | "circuitId"
  | "decision"
  | "decisionId"
  | "errorCode"
  | "kind"
  | "outcome"
  | "service"
  | "tool"
  | "vantage";

/** What a step that holds has to tell. */
export interface Finding {
  /** For programs; they stand in the step's JSON object. */
  readonly facts: Readonly<Record<string, Fact>>;
  /** For people, a line each. */
  readonly lines: readonly string[];
  readonly rows: readonly ExpectedRow[];
}

export type StepReport =
  | { readonly kind: "held"; readonly step: StepName; readonly ms: number; readonly finding: Finding }
  | { readonly kind: "failed"; readonly step: StepName; readonly ms: number; readonly error: Error };
