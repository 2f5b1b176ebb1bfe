/** What passing frames on took, since the start, over all channels that count here. */
export class RelayCounters {
  /** DATA payload. */
  bytesForwarded = 0;
  framesForwarded = 0;
  /** Bytes of frames that were copied on the way: those that the carrier cut in two, and small ones packed into a queue that was long already. */
  bytesCopied = 0;
  /** Hand-overs to carriers, each a batch of whole frames. */
  writes = 0;
}
