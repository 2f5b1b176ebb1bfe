import { createServer } from "node:net";

/** A port of 127.0.0.1 that was free a moment ago. Prefer listening on port 0 where the subject can. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once("error", reject);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    server.close(() => {
      if (address === null || typeof address === "string") reject(new Error("The probe for a free port has no port."));
      else resolve(address.port);
    });
  });
  return promise;
}
