import { withAdmin } from "./admin.ts";
import { ToldError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import { exitCode } from "./exit-code.ts";
import { printable } from "./render/printable.ts";
import { formatBytes } from "./render/quantity.ts";
import { renderTable } from "./render/table.ts";
import { askRouters, stateWords, type RouterAnswer } from "./router-status.ts";

const HEADS = ["ROUTER", "ADDRESS", "STATE", "TUNNELS", "HOSTS", "CIRCUITS", "LINKS", "FORWARDED"];

/** One router that is away does not hide the others. */
export async function listRouters(
  options: { readonly state?: string; readonly json?: boolean },
  context: Context,
): Promise<void> {
  const { terminal, signal } = context;
  const answers = await withAdmin(context, options, ({ routers }) => askRouters(routers, { signal, timeoutMs: 3_000 }));
  if (options.json === true) for (const answer of answers) terminal.printJson(answer);
  else {
    const [head = "", ...lines] = renderTable([HEADS, ...answers.map(rowOf)]);
    terminal.print(terminal.colors.dim(head));
    for (const line of lines) terminal.print(line);
  }
  if (answers.some(({ ok }) => !ok)) throw new ToldError(exitCode.unreachable);
}

function rowOf(answer: RouterAnswer): readonly string[] {
  if (!answer.ok) return [answer.name, "-", `does not answer: ${printable(answer.error.message)}`];
  return [
    answer.name,
    printable(answer.publicAddress),
    printable(stateWords(answer)),
    String(answer.tunnels),
    String(answer.hosts),
    String(answer.circuits),
    String(answer.links),
    formatBytes(answer.bytesForwarded),
  ];
}
