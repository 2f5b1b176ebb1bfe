/** A cell of a line: its text, and how it is painted. The width is the text's. */
export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

/** Lines whose columns stay aligned although later ones are not known yet: a column grows and never shrinks. */
export class Columns {
  readonly #widths: number[];

  constructor(leastWidths: readonly number[] = []) {
    this.#widths = [...leastWidths];
  }

  /** Takes the widths of a line that comes later into account. */
  fit(cells: readonly Cell[]): void {
    for (const [column, { text }] of cells.entries())
      this.#widths[column] = Math.max(this.#widths[column] ?? 0, text.length);
  }

  line(cells: readonly Cell[]): string {
    this.fit(cells);
    const last = cells.findLastIndex(({ text }) => text !== "");
    return cells
      .slice(0, last + 1)
      .map(({ text, paint = (plain: string) => plain }, column) => {
        const padding = column === last ? "" : " ".repeat((this.#widths[column] ?? 0) - text.length);
        return `${paint(text)}${padding}`;
      })
      .join("  ");
  }
}
