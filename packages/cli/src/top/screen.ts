import type { Terminal } from "../terminal.ts";

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const REST_OF_LINE = "\u001b[K";
const REST_OF_SCREEN = "\u001b[J";
const CTRL_C = "\u0003";

export interface ScreenEvents {
  /** `q` or Ctrl-C. */
  readonly onLeave: () => void;
  /** The terminal has another size now. */
  readonly onResize: () => void;
}

/** The whole terminal for one view, and the terminal as it was when the view is over. */
export class Screen implements Disposable {
  readonly #terminal: Terminal;
  readonly #events: ScreenEvents;

  constructor(terminal: Terminal, events: ScreenEvents) {
    this.#terminal = terminal;
    this.#events = events;
    const { stdin, stdout } = terminal;
    stdin.setRawMode?.(true);
    stdin.on("data", this.#onKey);
    stdout.on("resize", events.onResize);
    stdout.write(ENTER);
  }

  get columns(): number {
    return this.#terminal.stdout.columns ?? 80;
  }

  get rows(): number {
    return this.#terminal.stdout.rows ?? 24;
  }

  /** One write for the whole view: nothing flickers. What does not fit below is left out. */
  draw(lines: readonly string[]): void {
    const fitting = lines.slice(0, this.rows - 1).map((line) => `${line}${REST_OF_LINE}`);
    this.#terminal.stdout.write(`${HOME}${fitting.join("\r\n")}${REST_OF_LINE}\r\n${REST_OF_SCREEN}`);
  }

  [Symbol.dispose](): void {
    const { stdin, stdout } = this.#terminal;
    stdin.off("data", this.#onKey);
    stdin.setRawMode?.(false);
    stdin.pause();
    stdout.off("resize", this.#events.onResize);
    stdout.write(LEAVE);
  }

  readonly #onKey = (keys: Buffer | string): void => {
    const text = String(keys);
    if (text.includes("q") || text.includes(CTRL_C)) this.#events.onLeave();
  };
}
