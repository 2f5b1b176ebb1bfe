/**
 * Methods that are let through, both eras (2024-11-05 to 2026-07-28). A method that is not known here could do on some server what
 * policy keeps from `tools/call`, so it is answered with "Method not found".
 */
export const clientMethods: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "server/discover",
  "tools/list",
  "tools/call",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "subscriptions/listen",
  "prompts/list",
  "prompts/get",
  "completion/complete",
  "logging/setLevel",
  "tasks/get",
  "tasks/list",
  "tasks/result",
  "tasks/update",
  "tasks/cancel",
]);

/** What a server may ask of a client (until 2025-11-25; later eras ask within results). */
export const serverMethods: ReadonlySet<string> = new Set([
  "ping",
  "roots/list",
  "sampling/createMessage",
  "elicitation/create",
  "tasks/get",
  "tasks/list",
  "tasks/result",
  "tasks/cancel",
]);

export function isNotification(method: string): boolean {
  return method.startsWith("notifications/");
}
