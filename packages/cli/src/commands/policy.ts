import { InvalidArgumentError, Option, type Command } from "commander";
import type { Context } from "../context.ts";
import { STATE_FLAG, STATE_HELP } from "./state-flag.ts";

interface ApplyOptions {
  readonly state?: string;
  readonly dryRun?: boolean;
  readonly expectVersion: number;
  readonly json?: boolean;
}

export function addPolicy(program: Command, context: Context): void {
  const policy = program.command("policy").description("who may reach, host and call what");
  policy
    .command("apply")
    .argument("<folder>", "policy.json with workloads and services, and *.cedar files")
    .description("put a folder of policy as code in force, all or nothing")
    .option("--dry-run", "check everything, change nothing")
    .addOption(
      new Option("--expect-version <n>", "refuse when another version is in force")
        .argParser(parseVersion)
        .default(0, "any"),
    )
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "print { version, headSequence, warnings }")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport policy apply packages/first-light/policy
  $ sallyport policy apply ./policy --dry-run               what would be refused, and where
  $ sallyport policy apply ./policy --expect-version 7      in CI: do not undo someone else's change

Live circuits are judged again at once; what is no longer allowed is cut.`,
    )
    .action((folder: string, options: ApplyOptions) => applyPolicy(folder, options, context));
}

async function applyPolicy(folder: string, options: ApplyOptions, context: Context): Promise<void> {
  const [{ readPolicyFolder }, { withAdmin }, { PolicyFault }] = await Promise.all([
    import("@sallyport/policy-engine"),
    import("../admin.ts"),
    import("../policy-fault.ts"),
  ]);
  const { terminal, signal } = context;
  const document = await readPolicyFolder(folder);
  const request = { document, expectedVersion: options.expectVersion, dryRun: options.dryRun ?? false };
  const answer = await withAdmin(context, options, ({ policy }) =>
    policy.applyPolicy(request, { signal, timeoutMs: 30_000 }),
  ).catch((error: unknown) => {
    throw PolicyFault.of(error, document.cedarFiles);
  });
  if (options.json === true) {
    terminal.printJson({ dryRun: request.dryRun, ...answer });
    return;
  }
  for (const warning of answer.warnings) terminal.note(`${terminal.noteColors.yellow("warning:")} ${warning}`);
  const { services, workloads, cedarFiles } = document;
  const what = `${Object.keys(cedarFiles).length} Cedar files, ${workloads.length} workloads, ${services.length} services`;
  terminal.print(
    request.dryRun ? `Valid: ${what}. Nothing was changed.` : `Version ${answer.version} in force: ${what}.`,
  );
}

function parseVersion(text: string): number {
  const version = Number(text);
  if (Number.isSafeInteger(version) && version >= 1) return version;
  throw new InvalidArgumentError("It must be a whole number, such as the one that `policy apply` printed.");
}
