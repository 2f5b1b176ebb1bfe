import type { Config } from "./config.ts";
import { nextCommands } from "./next-commands.ts";
import { jsonReporter, type Reporter, transcript } from "./reporter.ts";
import { openStage, welcomeBack } from "./stage.ts";
import { tellStory } from "./story.ts";

const greeting = `Sallyport: a gate that opens only outwards, and only for identities that policy knows.\n\n`;

/** The whole of `npm start`. Resolves when everything has ended: whether every step held. */
export async function tell(config: Config, write: (text: string) => void, signal: AbortSignal): Promise<boolean> {
  const reporter: Reporter = config.json ? jsonReporter(write) : transcript(write, config.colour);
  if (!config.json) write(greeting);
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
  let held = true;
  for await (const report of tellStory({ ...config, stage })) {
    reporter.step(report);
    held &&= report.kind === "held";
    if (signal.aborted) return held;
  }
  if (config.once || !held) return held;
  await welcomeBack(stage);
  write(`\n${nextCommands(config)}`);
  await aborted(signal);
  if (!config.json) write("\nEnding everything …\n");
  return held;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // The story's child processes hold the event loop open; this waits beside them.
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
