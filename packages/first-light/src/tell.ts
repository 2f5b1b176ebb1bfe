import { cast } from "./cast.ts";
import type { Config } from "./config.ts";
import { nextCommands } from "./next-commands.ts";
import { jsonReporter, type Reporter, transcript } from "./reporter.ts";
import { openStage, reinstate, welcomeBack } from "./stage.ts";
import { tellStory } from "./story.ts";

const greeting = `Sallyport: a gate that opens only outwards, and only for identities that policy knows.\n\n`;

/** How the story ended; `interrupted` before its last step, so that nobody takes a part of it for the whole. */
export type StoryEnd = "held" | "failed" | "interrupted";

/** The whole of `npm start`. Resolves when everything has ended. */
export async function tell(config: Config, write: (text: string) => void, signal: AbortSignal): Promise<StoryEnd> {
  const reporter: Reporter = config.json ? jsonReporter(write) : transcript(write, config.colour);
  if (!config.json) {
    write(greeting);
    signal.addEventListener("abort", () => write("\nEnding everything …\n"), { once: true });
  }
  await using stage = await openStage({
    stateDir: config.stateDir,
    keyDir: config.keyDir,
    launcher: config.launcher,
    env: config.commandEnv,
    policyFolder: config.policyFolder,
    sharedFolder: config.sharedFolder,
    onProgress: (what, ms) => reporter.progress(what, ms),
    signal,
  });
  let end: StoryEnd = "held";
  for await (const report of tellStory({ ...config, stage })) {
    // The step that a Ctrl-C cut short proves nothing.
    if (signal.aborted) return "interrupted";
    reporter.step(report);
    if (report.kind === "failed") end = "failed";
  }
  // Who comes next begins as the story did, not with an agent that is cut off.
  if (config.once) await reinstate(stage.network, cast.demoAgent);
  if (config.once || end === "failed") return end;
  await welcomeBack(stage);
  if (!config.json) write(`\n${nextCommands(config)}`);
  await aborted(signal);
  return end;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // The story's child processes hold the event loop open; this waits beside them.
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
