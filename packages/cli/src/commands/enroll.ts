import { Option, type Command } from "commander";
import type { Context } from "../context.ts";
import { CliError } from "../cli-error.ts";

interface EnrollOptions {
  readonly profile?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

export function addEnroll(program: Command, context: Context): void {
  program
    .command("enroll")
    .description("redeem a one-time token: this machine gets an identity, kept in a profile")
    .option(
      "--profile <name>",
      'what to call the identity on this machine (default: $SALLYPORT_PROFILE, then "default")',
    )
    .option(
      "--token-file <path>",
      "read the token from a file, - for standard input (default: $SALLYPORT_TOKEN, then standard input)",
    )
    .addOption(new Option("--token <token>").hideHelp().argParser(refuseToken))
    .option("--json", "print { profile, spiffeId, notAfter, routers }")
    .addHelpText(
      "after",
      `
Examples:
  $ sallyport token create agent | sallyport enroll --profile agent
  $ sallyport enroll --profile agent --token-file ./token
  $ SALLYPORT_TOKEN=$(cat token) sallyport enroll --profile agent

The private key is made here and never leaves. The certificate lives an hour and renews itself while the profile is in use.`,
    )
    .action((options: EnrollOptions) => runEnroll(options, context));
}

function refuseToken(): never {
  throw new CliError({
    code: "TOKEN_IN_ARGUMENTS",
    message: "a token does not go on the command line: every user of this machine can read it there",
    remedy: "Create a new one, and pass it by standard input, --token-file or SALLYPORT_TOKEN.",
  });
}

async function runEnroll(options: EnrollOptions, context: Context): Promise<void> {
  const [{ enroll }, { readToken }] = await Promise.all([import("@sallyport/connector"), import("../token-input.ts")]);
  const { terminal, signal, env } = context;
  const token = await readToken(options.tokenFile, context);
  const name = options.profile ?? env["SALLYPORT_PROFILE"] ?? "default";
  const { svid, routers } = await enroll({ token, profile: name, signal });
  const spiffeId = svid.identity.id.uri;
  if (options.json === true) {
    terminal.printJson({ profile: name, spiffeId, notAfter: svid.notAfter.toISOString(), routers });
    return;
  }
  terminal.print(`Enrolled as ${spiffeId}, profile "${name}".`);
}
