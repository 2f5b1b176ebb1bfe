import { listProfiles, loadProfile, type Profile } from "@sallyport/connector";
import { CliError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import { exitCode } from "./exit-code.ts";

/** The profile that is meant: `--profile`, SALLYPORT_PROFILE, the only one there is. @throws CliError, ConnectorError */
export async function chooseProfile(option: string | undefined, { env }: Pick<Context, "env">): Promise<Profile> {
  return await loadProfile(option ?? env["SALLYPORT_PROFILE"] ?? (await onlyProfile()));
}

export async function onlyProfile(): Promise<string> {
  const names = await listProfiles();
  const [only] = names;
  if (only === undefined) {
    throw new CliError({
      code: "PROFILE_MISSING",
      message: "this machine has no profile: no identity to act as",
      remedy:
        "Enroll: `sallyport token create <workload>` where the network runs, `sallyport enroll --profile <workload>` here.",
      exitCode: exitCode.notEnrolled,
    });
  }
  if (names.length === 1) return only;
  throw new CliError({
    code: "PROFILE_NOT_CHOSEN",
    message: `there are ${names.length} profiles: ${names.join(", ")}`,
    remedy: "Choose one with --profile, or set SALLYPORT_PROFILE.",
  });
}
