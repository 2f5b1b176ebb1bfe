/** What the owner and the engine's process say to each other over Node's IPC channel: nothing of it is in arguments or the environment. */

export interface StartCommand {
  readonly kind: "start";
  readonly dataFolder: string;
  readonly socketPath: string;
  /** Passwords of the users `writer` and `reader`, for this start only. */
  readonly writerToken: string;
  readonly readerToken: string;
}

export type EngineCommand = StartCommand | { readonly kind: "stop" };

export type EngineReport =
  | { readonly kind: "ready"; readonly version: string }
  | {
      readonly kind: "failed";
      readonly code: "ENGINE_MISSING" | "DATA_LOCKED" | "ENGINE_START_FAILED";
      readonly message: string;
    };

export function parseReport(message: unknown): EngineReport | null {
  if (typeof message !== "object" || message === null || !("kind" in message)) return null;
  if (message.kind === "ready" && "version" in message) return { kind: "ready", version: String(message.version) };
  if (message.kind !== "failed" || !("code" in message) || !("message" in message)) return null;
  const code =
    message.code === "ENGINE_MISSING" || message.code === "DATA_LOCKED" ? message.code : "ENGINE_START_FAILED";
  return { kind: "failed", code, message: String(message.message) };
}

export function parseCommand(message: unknown): EngineCommand | null {
  if (typeof message !== "object" || message === null || !("kind" in message)) return null;
  if (message.kind === "stop") return { kind: "stop" };
  if (message.kind !== "start") return null;
  const [dataFolder, socketPath, writerToken, readerToken] = [
    "dataFolder",
    "socketPath",
    "writerToken",
    "readerToken",
  ].map((name) => Reflect.get(message, name));
  if (typeof dataFolder !== "string" || typeof socketPath !== "string") return null;
  if (typeof writerToken !== "string" || typeof readerToken !== "string") return null;
  return { kind: "start", dataFolder, socketPath, writerToken, readerToken };
}
