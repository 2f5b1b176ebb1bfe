/**
 * Rules of this repository that no linter ships.
 *
 * no-tls-server-end: `new TLSSocket(s, { isServer: true })` lets a self-signed client in and says `authorized: false` for good
 * and bad alike (measured on Node 24). A server end of TLS exists only in packages/mtls, through `tls.Server`.
 *
 * disable-needs-reason: who switches a rule off says why, after `--`.
 */

/** What makes a server end of TLS, by module. `http2.createServer` is plain HTTP/2 over what it is given. */
const serverMakers = new Map([
  ["tls", ["createServer", "Server"]],
  ["https", ["createServer", "Server"]],
  ["http2", ["createSecureServer"]],
]);

/** @param {any} node @returns {string | null} */
const nameOf = (node) =>
  node?.type === "Identifier" ? node.name : node?.type === "Literal" ? String(node.value) : null;

/** @type {any} */
const noTlsServerEnd = {
  meta: { type: "problem", schema: [] },
  /** @param {any} context */
  create(context) {
    /** @type {Map<string, readonly string[]>} Local names of whole modules, with what makes a server in them. */
    const modules = new Map();
    /** Local names of what makes a server. */
    const makers = new Set();
    const report = (/** @type {any} */ node) =>
      context.report({ node, message: "A server end of TLS is made only in packages/mtls (createMtlsServer)." });
    /** @param {any} callee */
    const makesServer = (callee) =>
      makers.has(nameOf(callee)) ||
      (callee?.type === "MemberExpression" &&
        modules.get(nameOf(callee.object) ?? "")?.includes(nameOf(callee.property) ?? "") === true);
    return {
      /** @param {any} node */
      ImportDeclaration(node) {
        const names = serverMakers.get(String(node.source.value).replace(/^node:/, ""));
        if (names === undefined) return;
        for (const specifier of node.specifiers) {
          if (specifier.type !== "ImportSpecifier") modules.set(specifier.local.name, names);
          else if (names.includes(nameOf(specifier.imported) ?? "")) makers.add(specifier.local.name);
        }
      },
      /** @param {any} node */
      Property(node) {
        const off = node.value?.type === "Literal" && node.value.value === false;
        if (nameOf(node.key) === "isServer" && !off) report(node);
      },
      /** @param {any} node */
      NewExpression(node) {
        if (makesServer(node.callee)) report(node);
      },
      /** @param {any} node */
      CallExpression(node) {
        if (makesServer(node.callee)) report(node);
      },
    };
  },
};

/** @type {any} */
const disableNeedsReason = {
  meta: { type: "problem", schema: [] },
  /** @param {any} context */
  create(context) {
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) {
          if (!/^\s*(?:ox|es)lint-disable/.test(comment.value) || /\s--\s+\S/.test(comment.value)) continue;
          context.report({ node: comment, message: "Say after `--` why the rule is switched off here." });
        }
      },
    };
  },
};

export default {
  meta: { name: "sallyport" },
  rules: { "no-tls-server-end": noTlsServerEnd, "disable-needs-reason": disableNeedsReason },
};
