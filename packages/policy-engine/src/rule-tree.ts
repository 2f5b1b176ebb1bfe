import type { TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";

// Questions about a rule's or an expression's JSON tree. Each errs on the side of yes.

/** Whether the tree reads the call's arguments. */
export function mentionsContext(tree: unknown): boolean {
  return some(tree, (node) => node["Var"] === "context");
}

/**
 * Whether the tree reads an attribute of a principal, or of anything else that is not the resource or the context, such as the record of an
 * if: then it can tell any workload from any other.
 */
export function readsPrincipalAttribute(tree: unknown): boolean {
  return some(tree, readsAttribute);
}

/** Entities that the tree names, in its scope or its conditions. */
export function namedEntities(tree: unknown): TypeAndId[] {
  const found: TypeAndId[] = [];
  some(tree, ({ type, id }) => {
    if (typeof type === "string" && typeof id === "string") found.push({ type, id });
    return false;
  });
  return found;
}

function readsAttribute(node: Node): boolean {
  const access = node["."];
  return (
    isNode(access) &&
    !(isNode(access["left"]) && (access["left"]["Var"] === "resource" || access["left"]["Var"] === "context"))
  );
}

type Node = { readonly [key: string]: unknown };

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

function some(tree: unknown, test: (node: Node) => boolean): boolean {
  if (!isNode(tree)) return false;
  return test(tree) || Object.values(tree).some((child) => some(child, test));
}
