/**
 * knip says what it found, never how much it read: this reporter adds it.
 *
 * @param {{ readonly counters: { readonly processed: number } }} result
 */
export default function countFiles({ counters }) {
  process.stdout.write(`knip looked at ${counters.processed} files\n`);
}
