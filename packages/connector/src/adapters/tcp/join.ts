import type { Socket } from "node:net";
import type { Circuit } from "../../circuit/circuit.ts";
import type { CircuitEnd } from "../../circuit/circuit-end.ts";

/**
 * Bytes both ways between a socket and a circuit, with half-close. A circuit that ends other than well resets the socket: what reads there
 * must not take a cut for an end.
 */
export async function join(socket: Socket, circuit: Circuit): Promise<CircuitEnd> {
  socket.on("error", () => undefined);
  circuit.on("error", () => undefined);
  socket.pipe(circuit);
  circuit.pipe(socket);
  gather(circuit, socket);
  socket.once("close", () => {
    if (!circuit.writableEnded || !circuit.readableEnded) circuit.destroy();
  });
  const end = await circuit.closedBy;
  if (end.kind !== "ended") socket.resetAndDestroy();
  return end;
}

/** What arrives in one turn of the event loop leaves in one write: each one of its own would be a system call, and wake the reader. */
function gather(circuit: Circuit, socket: Socket): void {
  let gathering = false;
  const leave = (): void => {
    gathering = false;
    socket.uncork();
  };
  circuit.prependListener("data", () => {
    if (gathering) return;
    gathering = true;
    socket.cork();
    setImmediate(leave);
  });
}
