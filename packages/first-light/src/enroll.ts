import type { Ran, Sallyport } from "./sallyport.ts";

/** Redeems a one-time token. It goes in by standard input: a command line can be read by every user of the machine. */
export async function enroll(sallyport: Sallyport, profile: string, token: string): Promise<Ran> {
  return await sallyport.run(["enroll", "--profile", profile, "--token-file", "-"], { input: `${token}\n` });
}
