import { spawn } from "node:child_process";

const speakEveryMs = 10_000;

/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs a command, says what it is for, and says so again every ten seconds until it ends. Its output is shown only when it fails.
 *
 * @param {string} purpose what the person waits for, without a full stop
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import("node:child_process").SpawnOptions} [options]
 * @returns {Promise<string>} its standard output
 */
export async function runSpoken(purpose, command, args, options = {}) {
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  say(`· ${purpose} …`);
  const reminder = setInterval(() => say(`  still at it (${seconds()} s)`), speakEveryMs);
  try {
    const output = await run(command, args, options);
    say(`  done in ${seconds()} s`);
    return output;
  } finally {
    clearInterval(reminder);
  }
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import("node:child_process").SpawnOptions} [options]
 * @returns {Promise<string>} its standard output
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    /** @type {Buffer[]} */
    const output = [];
    /** @type {Buffer[]} */
    const everything = [];
    child.stdout?.on("data", (chunk) => (output.push(chunk), everything.push(chunk)));
    child.stderr?.on("data", (chunk) => everything.push(chunk));
    child.once("error", (cause) => reject(new Error(`\`${command}\` could not be run: ${cause.message}`, { cause })));
    child.once("close", (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(output).toString());
      const told = Buffer.concat(everything).toString().trim().split("\n").slice(-30).join("\n");
      reject(new Error(`\`${[command, ...args].join(" ")}\` ended with ${signal ?? `status ${code}`}:\n${told}`));
    });
  });
}
