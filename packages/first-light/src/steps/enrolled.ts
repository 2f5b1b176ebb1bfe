import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { enroll } from "../enroll.ts";
import { must } from "../first-light-error.ts";
import type { Sallyport } from "../sallyport.ts";
import type { Finding } from "../step.ts";

export interface Enrolled {
  readonly sallyport: Sallyport;
  /** A new one-time token for a workload of that name. */
  readonly createToken: (workload: string) => Promise<string>;
  /** Workload name, and name of the profile that will hold its identity. */
  readonly agentName: string;
  readonly trustDomain: string;
  /** Where the profile keeps its certificate chain, PEM. */
  readonly certificatePath: string;
}

/** A one-time token becomes a short-lived identity of exactly that name, once. */
export async function enrolled(options: Enrolled): Promise<Finding> {
  const { sallyport, createToken, agentName, trustDomain, certificatePath } = options;
  const token = await createToken(agentName);
  const first = await enroll(sallyport, agentName, token);
  must(first.status === 0, `the token was refused: ${first.stderr.trim()}`);
  const leaf = new X509Certificate(await readFile(certificatePath));
  const id = (leaf.subjectAltName ?? "").replace(/^URI:/, "");
  const expected = `spiffe://${trustDomain}/workload/${agentName}/`;
  must(id.startsWith(expected), `the certificate names ${id}, and should name ${expected}…`);
  const minutes = Math.round((leaf.validToDate.getTime() - Date.now()) / 60_000);
  must(minutes > 0 && minutes <= 60, `the certificate lives another ${minutes} minutes, and should live an hour`);
  const second = await enroll(sallyport, `${agentName}-copy`, token);
  must(second.status !== 0, "the one-time token gave a second identity");
  must(
    second.stderr.includes("TOKEN_ALREADY_USED"),
    `the second use failed for another reason: ${second.stderr.trim()}`,
  );
  return {
    facts: { spiffe_id: id, minutes_to_live: minutes },
    lines: [
      `${agentName} is now ${id}`,
      `for ${minutes} minutes, then it renews itself; the token cannot be used again`,
    ],
    rows: [
      {
        what: `the enrollment of ${agentName}`,
        fields: { kind: "workload.enrolled", actorName: agentName, vantage: "enrollment" },
      },
      {
        what: "the refused second use of its token",
        fields: { kind: "enrollment.refused", errorCode: "TOKEN_ALREADY_USED" },
      },
    ],
  };
}
