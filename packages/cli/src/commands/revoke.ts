import { Option, type Command } from "commander";
import type { AdminClients } from "@sallyport/constellation";
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
    .addOption(new Option("--reason <text>", "for the record").default("", "none"))
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
    .option("--json", "print { denyListVersion, headSequence, subject, knownToPolicy }");
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
  const { answer, isKnown } = await withAdmin(context, options, async ({ policy }) => ({
    answer:
      verb === "revoke"
        ? await policy.revoke({ subject, reason: options.reason }, { signal })
        : await policy.reinstate({ subject }, { signal }),
    isKnown: await isKnownTo(policy, subject, signal),
  }));
  const value = subject.kind?.value ?? "";
  if (!isKnown)
    terminal.note(
      `${terminal.noteColors.yellow("warning:")} policy names no workload "${value}"; is that what you meant?`,
    );
  if (options.json === true) {
    terminal.printJson({ ...answer, subject: value, knownToPolicy: isKnown });
    return;
  }
  const { denyListVersion } = answer;
  terminal.print(
    verb === "revoke"
      ? `Revoked ${value}, by deny-list version ${denyListVersion}: its tunnels and circuits are being cut.`
      : `Reinstated ${value}, by deny-list version ${denyListVersion}.`,
  );
  if (subject.kind?.$case === "name") terminal.note(terminal.noteColors.dim(nextStep(verb, value)));
}

function nextStep(verb: "revoke" | "reinstate", name: string): string {
  if (verb === "revoke") return `It can come back by \`sallyport reinstate ${name}\` and a new enrollment.`;
  return `Its certificates stay denied; it enrolls again: sallyport token create ${name} | sallyport enroll --profile ${name}`;
}

/** A mistyped name is denied like any other, and cuts nobody off. */
async function isKnownTo(policy: AdminClients["policy"], { kind }: Subject, signal: AbortSignal): Promise<boolean> {
  if (kind?.$case !== "name") return true;
  const { document } = await policy.getPolicy({}, { signal });
  return document?.workloads.some(({ name }) => name === kind.value) ?? false;
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
