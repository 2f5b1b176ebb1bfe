import { createServer } from "node:net";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export function parseHostPort(value: string): HostPort {
  const at = value.lastIndexOf(":");
  return { host: value.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(value.slice(at + 1)) };
}

/** A port that is free now: `wanted` if it can be had, else any other one. Held until all were chosen, so that no two are the same. */
export async function choosePorts(host: string, wanted: readonly number[]): Promise<readonly number[]> {
  await using held = new AsyncDisposableStack();
  const ports: number[] = [];
  for (const port of wanted) {
    const hold = (await holdPort(host, port)) ?? (await holdPort(host, 0));
    if (hold === undefined) throw new Error(`no free port on ${host}`);
    held.use(hold);
    ports.push(hold.port);
  }
  return ports;
}

export async function isFree(address: HostPort): Promise<boolean> {
  const hold = await holdPort(address.host, address.port);
  await hold?.[Symbol.asyncDispose]();
  return hold !== undefined;
}

async function holdPort(host: string, port: number): Promise<(AsyncDisposable & { readonly port: number }) | undefined> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, host, () => resolve(true));
  });
  const address = server.address();
  if (!listening || address === null || typeof address === "string") return undefined;
  return { port: address.port, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}
