/**
 * Rules of this repository that no linter ships.
 *
 * no-tls-server-end: `new TLSSocket(s, { isServer: true })` lets a self-signed client in and says `authorized: false` for good
 * and bad alike (measured on Node 24). A server end of TLS exists only in packages/mtls, through `tls.Server`.
 *
 * disable-needs-reason: who switches a rule off says why, after `--`.
 */

const serverMakers = new Set(["createServer", "createSecureServer", "Server"]);
const tlsModules = /^(?:node:)?(?:tls|https|http2)$/;

/** @param {any} node @returns {string | null} */
const nameOf = (node) =>
  node?.type === "Identifier" ? node.name : node?.type === "Literal" ? String(node.value) : null;

/** @type {any} */
const noTlsServerEnd = {
  meta: { type: "problem", schema: [] },
  /** @param {any} context */
  create(context) {
    /** Local names that stand for a whole TLS module, and those that stand for one of its server makers. */
    const modules = new Set();
    const makers = new Set();
    const report = (/** @type {any} */ node) =>
      context.report({ node, message: "A server end of TLS is made only in packages/mtls (createMtlsServer)." });
    /** @param {any} callee */
    const makesServer = (callee) =>
      makers.has(nameOf(callee)) ||
      (callee?.type === "MemberExpression" &&
        modules.has(nameOf(callee.object)) &&
        serverMakers.has(nameOf(callee.property) ?? ""));
    return {
      /** @param {any} node */
      ImportDeclaration(node) {
        if (!tlsModules.test(node.source.value)) return;
        for (const specifier of node.specifiers) {
          if (specifier.type !== "ImportSpecifier") modules.add(specifier.local.name);
          else if (serverMakers.has(nameOf(specifier.imported) ?? "")) makers.add(specifier.local.name);
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
