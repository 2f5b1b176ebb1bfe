/** Who plays: the names that policy/ speaks of. */
export const cast = {
  everythingHost: "everything-host",
  filesHost: "files-host",
  demoAgent: "demo-agent",
  stranger: "stranger",
} as const;

export const services = { everything: "everything", files: "files" } as const;

/** What policy/ lets the demo agent call of `everything`. */
export const callableTools: readonly string[] = ["echo", "get-sum", "trigger-long-running-operation"];

/** Ids of the rules that the story runs into. */
export const rules = { noEnvironment: "no-environment", handbookOnly: "reader-handbook" } as const;
