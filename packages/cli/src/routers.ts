import type { AdminClients } from "@sallyport/constellation";
import { CliError } from "./cli-error.ts";

export type NamedRouter = AdminClients["routers"][number];

/** Those that are meant: the one of that name, or all. @throws CliError ROUTER_UNKNOWN */
export function routersOf({ routers }: Pick<AdminClients, "routers">, name?: string): readonly NamedRouter[] {
  if (name === undefined) return routers;
  const found = routers.filter((router) => router.name === name);
  if (found.length > 0) return found;
  throw unknownRouter(`there is no router "${name}"`, routers);
}

/** The one that is meant; without a name the only one there is. @throws CliError ROUTER_UNKNOWN */
export function theRouter(admin: Pick<AdminClients, "routers">, name?: string): NamedRouter {
  const [first, ...others] = routersOf(admin, name);
  if (first !== undefined && others.length === 0) return first;
  throw unknownRouter("there are several routers", admin.routers);
}

function unknownRouter(message: string, routers: readonly NamedRouter[]): CliError {
  const names = routers.map(({ name }) => name).join(", ");
  return new CliError({ code: "ROUTER_UNKNOWN", message, remedy: `Name one of: ${names}.` });
}
