import { openAdmin, type AdminClients } from "@sallyport/constellation";
import type { Context } from "./context.ts";
import { stateFolder } from "./state-folder.ts";

/** Runs `work` as the administrator of the network that is meant. @throws ConstellationError, RpcError */
export async function withAdmin<T>(
  context: Context,
  options: { readonly state?: string },
  work: (admin: AdminClients) => Promise<T>,
): Promise<T> {
  await using admin = await openAdmin(await stateFolder(options.state, context), { signal: context.signal });
  return await work(admin);
}
