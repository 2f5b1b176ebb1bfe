/**
 * Makes a fresh clone ready to run: packages, the pinned Node, generated code, nats-server. First thing of `npm start`,
 * `npm test` and `npm run check`.
 *
 * 1. Runs on what the machine has (Node 20 and npm 11 are enough) and imports nothing but Node itself.
 * 2. Does only what is missing; with everything in place it takes a tenth of a second and says nothing.
 * 3. Speaks on standard error: standard output belongs to the command that follows.
 */
import { generateProto } from "./setup/generate-proto.js";
import { installPackages } from "./setup/install-packages.js";
import { providePinnedNode } from "./setup/pinned-node.js";
import { provideNatsServer } from "./setup/nats-server.js";
import { say } from "./setup/say.js";

try {
  await installPackages();
  providePinnedNode();
  await generateProto();
  await provideNatsServer();
} catch (error) {
  say(`\nSallyport cannot start yet: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
