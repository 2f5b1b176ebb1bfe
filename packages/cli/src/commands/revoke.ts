import { Option, type Command } from "commander";
import type { Subject } from "@sallyport/proto/policy";
import type { Context } from "../context.ts";
import { CliError } from "../cli-error.ts";
import { STATE_FLAG, STATE_HELP } from "./state-flag.ts";

interface RevokeOptions {
  readonly state?: string;
  readonly serial?: string;
  readonly issuer?: string;
  readonly reason: string;
  readonly json?: boolean;
}

const SUBJECT_HELP = "a workload's name, or a whole SPIFFE ID";

export function addRevoke(program: Command, context: Context): void {
  subjectCommand(
    program,
    "revoke",
    "deny an identity at once: its tunnels are closed and its circuits cut while data flows",
  )
    .addOption(new Option("--reason <text>", "for the record").default(""))
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport revoke agent --reason "laptop lost"           the name, all of its instances
  $ sallyport revoke spiffe://sallyport.local/workload/agent/3f2a91c0
  $ sallyport revoke --serial 4f8a11                        one certificate`,
    )
    .action((subject: string | undefined, options: RevokeOptions) => change("revoke", subject, options, context));
}

export function addReinstate(program: Command, context: Context): void {
  subjectCommand(program, "reinstate", "take an identity off the deny-list; it enrolls again for a new certificate")
    .addHelpText("after", "\nExamples:\n  $ sallyport reinstate agent")
    .action((subject: string | undefined, options: RevokeOptions) => change("reinstate", subject, options, context));
}

function subjectCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .argument("[subject]", SUBJECT_HELP)
    .description(description)
    .addOption(new Option("--serial <hex>", "one certificate, by its serial").conflicts("issuer"))
    .option("--issuer <sha256>", "everything that one CA certificate signed, by the SHA-256 of its public key")
    .option(STATE_FLAG, STATE_HELP)
    .option("--json", "print { denyListVersion, headSequence }");
}

async function change(
  verb: "revoke" | "reinstate",
  name: string | undefined,
  options: RevokeOptions,
  context: Context,
): Promise<void> {
  const { withAdmin } = await import("../admin.ts");
  const { terminal, signal } = context;
  const subject = subjectOf(name, options);
  const answer = await withAdmin(context, options, async ({ policy }) =>
    verb === "revoke"
      ? await policy.revoke({ subject, reason: options.reason }, { signal })
      : await policy.reinstate({ subject }, { signal }),
  );
  if (options.json === true) terminal.printJson(answer);
  else
    terminal.print(
      `${verb === "revoke" ? "Revoked" : "Reinstated"} ${subject.kind?.value}: deny-list version ${answer.denyListVersion} is published.`,
    );
}

function subjectOf(name: string | undefined, { serial, issuer }: RevokeOptions): Subject {
  const given = [name, serial, issuer].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw new CliError({
      code: "USAGE",
      message: "exactly one subject is needed",
      remedy: "Give a name, a SPIFFE ID, --serial or --issuer.",
    });
  }
  if (serial !== undefined) return { kind: { $case: "serial", value: serial } };
  if (issuer !== undefined) return { kind: { $case: "issuer", value: issuer } };
  const value = name ?? "";
  return { kind: value.startsWith("spiffe://") ? { $case: "instance", value } : { $case: "name", value } };
}
