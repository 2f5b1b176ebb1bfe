import { Agent, AgentRefused, throughSallyport } from "../agent.ts";
import { FirstLightError, must } from "../first-light-error.ts";
import type { Sallyport } from "../sallyport.ts";
import type { Finding } from "../step.ts";

export interface Revoked {
  readonly sallyport: Sallyport;
  readonly agent: Agent;
  /** Profile and workload name of `agent`. */
  readonly agentName: string;
  readonly service: string;
  /** Who is revoked: the same, unless a test wants to see a cut that does not happen. */
  readonly subject: string;
}

/** The operation reports every 5 ms for half a minute, far longer than the step takes. */
const operation = { duration: 30, steps: 6_000 };
const reportsBefore = 40;
/** What the product promises, from the published deny-list to the last byte. */
const maxCutMs = 1_000;
const patienceMs = 5_000;

/**
 * A revocation cuts a stream while data flows:
 *
 * 1. Before the command, reports of a long operation arrive at the agent.
 * 2. The last byte arrives at the latest a second after the command has ended.
 * 3. The call ends with an error, and no new session is given.
 */
export async function revoked({ sallyport, agent, agentName, service, subject }: Revoked): Promise<Finding> {
  let reports = 0;
  const flowing = Promise.withResolvers<void>();
  const call = agent
    .call("trigger-long-running-operation", operation, {
      timeoutMs: 60_000,
      onProgress: () => {
        reports += 1;
        if (reports === reportsBefore) flowing.resolve();
      },
    })
    .then(
      () => "it ended as if nothing had happened",
      () => null,
    );
  await within(patienceMs, "data began to flow", flowing.promise);
  const before = reports;
  const command = await sallyport.succeed(["revoke", subject, "--reason", "first light"]);
  const end = await within(patienceMs, "the revocation cut the stream", call);
  must(end === null, `the call was not cut: ${end}`);
  must(reports > before || agent.lastDeliveryAt >= command.startedAt, "no data flowed while the command ran");
  const afterCommandMs = agent.lastDeliveryAt - command.endedAt;
  must(afterCommandMs <= maxCutMs, `the last byte came ${afterCommandMs.toFixed(0)} ms after the command had ended`);
  await mustStayOut(sallyport, agentName, service);
  const lastByteMs = Number((agent.lastDeliveryAt - command.startedAt).toFixed(1));
  return {
    facts: {
      subject,
      reports,
      last_byte_ms: lastByteMs,
      command_ms: Number((command.endedAt - command.startedAt).toFixed(1)),
    },
    lines: [
      `${reports} reports of a running operation had arrived, one every 5 ms`,
      `$ sallyport revoke ${subject}`,
      `the last byte arrived ${lastByteMs} ms after the command was typed; a new session is refused`,
    ],
    rows: [
      { what: "the revocation", fields: { kind: "identity.revoked", vantage: "policy" } },
      {
        what: "the cut circuit",
        fields: { kind: "circuit.closed", actorName: agentName, service, vantage: "router", outcome: "revoked" },
      },
    ],
  };
}

async function mustStayOut(sallyport: Sallyport, agentName: string, service: string): Promise<void> {
  const again = await Agent.connect(throughSallyport(sallyport, agentName, service)).catch(
    (refused: unknown) => refused,
  );
  if (again instanceof Agent) await again[Symbol.asyncDispose]();
  must(again instanceof AgentRefused, `${agentName} got back in: ${String(again)}`);
  must(again.message.includes("cut off"), `${agentName} stays out for another reason: ${again.message}`);
}

async function within<T>(ms: number, what: string, awaited: Promise<T>): Promise<T> {
  const overdue = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => overdue.reject(new FirstLightError("TIMED_OUT", `it did not come to pass in ${ms} ms that ${what}`)),
    ms,
  );
  try {
    return await Promise.race([awaited, overdue.promise]);
  } finally {
    clearTimeout(timer);
  }
}
