import { must } from "../first-light-error.ts";
import { networkNamespace, surveySockets } from "../sockets/survey.ts";
import type { Finding } from "../step.ts";

/** Who stands in the dark, and the process that everything of his descends from. */
export interface HostingSide {
  readonly service: string;
  readonly pid: number;
}

/**
 * The hosting side listens nowhere: no process of it, connector or hosted server, holds a listening TCP or open UDP socket;
 * and where a process sees a network of its own, nothing listens in that network at all.
 */
export async function dark(hostingSides: readonly HostingSide[]): Promise<Finding> {
  const ownNamespace = await networkNamespace("self");
  const facts: Record<string, string | number | boolean> = {};
  const lines: string[] = [];
  for (const { service, pid } of hostingSides) {
    const processes = await surveySockets([pid]);
    must(
      processes.length >= 2,
      `${service}: a connector and a hosted server should be running, found ${processes.length} processes`,
    );
    for (const process of processes) {
      const isolated = process.namespace !== ownNamespace;
      const listening = isolated ? process.listeningInNamespace : process.sockets.filter(({ listens }) => listens);
      const where = listening.map(({ protocol, address }) => `${protocol} ${address}`).join(", ");
      must(listening.length === 0, `${service}: process ${process.pid} (${process.command}) listens on ${where}`);
    }
    const isolated = processes.filter(({ namespace }) => namespace !== ownNamespace).length;
    const sockets = processes.reduce((sum, process) => sum + process.sockets.length, 0);
    facts[`${service}.processes`] = processes.length;
    facts[`${service}.sockets`] = sockets;
    facts[`${service}.listening`] = 0;
    facts[`${service}.isolated`] = isolated;
    lines.push(
      `${service}: ${processes.length} processes listen on nothing; ${sockets} outgoing connection${sockets === 1 ? "" : "s"}` +
        (isolated > 0 ? "; the server itself sees no network at all" : ""),
    );
  }
  must(hostingSides.length > 0, "no hosting side was looked at");
  return { facts, lines, rows: [] };
}
