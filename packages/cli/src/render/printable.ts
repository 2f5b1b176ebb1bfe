/**
 * Text that somebody else chose, as it may stand on a terminal: what would move the cursor, change the terminal, reorder the line or hide is
 * written out, such as `\u{1b}`. The name of a tool is its caller's choice, so that a raw one could rewrite the record on the screen.
 * @param keep characters that stay, such as the line feeds of a message of several lines
 */
export function printable(text: string, keep = ""): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) =>
    keep.includes(character) ? character : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
