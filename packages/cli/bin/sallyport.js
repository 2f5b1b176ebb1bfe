#!/usr/bin/env node
/**
 * Starts the `sallyport` command from any folder, with a bare PATH, under whatever Node there is (20 or newer).
 *
 * Plain JavaScript without dependencies. The command itself needs Node 24: the one that this checkout pins, else the one that runs this file.
 * Where this Node can replace itself by another program it does, so that signals, standard streams and the exit status are simply the command's.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const REQUIRED_MAJOR = 24;
const EXIT_FAILED = 1;

const packageFolder = new URL("../", import.meta.url);
const file = (relative, base = packageFolder) => fileURLToPath(new URL(relative, base));

function findNode() {
  const pinned = file(`../../node_modules/node-linux-${process.arch}/bin/node`);
  if (process.platform === "linux" && existsSync(pinned)) return pinned;
  return Number(process.versions.node.split(".")[0]) >= REQUIRED_MAJOR ? process.execPath : undefined;
}

function commandLine() {
  const source = file("src/main.ts");
  const quiet = "--disable-warning=ExperimentalWarning";
  if (existsSync(source)) return ["--conditions=sallyport-source", quiet, source];
  return [quiet, file("dist/main.js")];
}

/** What `npm start` makes and a mere clone lacks. */
function isSetUp() {
  const made = ["../../node_modules/commander/package.json", "../proto/gen/descriptors.binpb"];
  return !existsSync(file("src/main.ts")) || made.every((path) => existsSync(file(path)));
}

/** A child process in place of this one: signals go to it, its end is ours. */
function runAsChild(node, args) {
  const child = spawn(node, args, { stdio: ["inherit", "inherit", "inherit", "ipc"] });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`${node} cannot be run: ${error.message}`));
  child.on("exit", (status, signal) => {
    if (signal === null) {
      process.exitCode = status ?? EXIT_FAILED;
      return;
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function fail(message) {
  process.stderr.write(`sallyport: ${message}\n`);
  process.exitCode = EXIT_FAILED;
}

const node = findNode();
if (node === undefined) {
  fail(
    `Node ${REQUIRED_MAJOR} or newer is needed, this is ${process.version}.\n  Run \`npm start\` once in ${file("../../")}, which installs the pinned one, or install Node ${REQUIRED_MAJOR}.`,
  );
} else if (!isSetUp()) {
  fail(
    `this checkout is not set up yet.\n  Run \`npm start\` once in ${file("../../")}, or \`node scripts/setup.js\` there.`,
  );
} else {
  const args = [...commandLine(), ...process.argv.slice(2)];
  if (typeof process.execve === "function" && process.platform === "linux") {
    // The call is new in Node, and says so on stderr, which belongs to the command.
    process.removeAllListeners("warning");
    process.execve(node, [node, ...args], process.env);
  } else {
    runAsChild(node, args);
  }
}
