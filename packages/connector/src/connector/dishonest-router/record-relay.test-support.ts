import type { TunnelStream } from "@sallyport/tunnel";
import type { JoinedStreams } from "../scripted-router.test-support.ts";

/** Where a record is bound for. */
export type Direction = "toDialer" | "toHost";

/** What leaves in place of one TLS record; `fin` ends the direction. */
export type Tamper = (record: Buffer, direction: Direction) => readonly (Buffer | "fin")[];

const recordHeaderBytes = 5;

/**
 * The relay of a router in the middle of a circuit: it sees everything that it relays, cut into the circuit's TLS records, and may put anything in
 * their place. Honest until `tamper` is set, so that a test may first let the circuit come to be.
 */
export class RecordRelay {
  tamper: Tamper = (record) => [record];
  /** Everything that came to be relayed. */
  readonly seen: { readonly direction: Direction; readonly record: Buffer }[] = [];

  readonly relay = ({ dialer, host }: JoinedStreams): void => {
    this.#join(dialer, host, "toHost");
    this.#join(host, dialer, "toDialer");
  };

  /** The bytes seen on the way to one side. */
  bytes(direction: Direction): Buffer {
    return Buffer.concat(this.seen.filter((one) => one.direction === direction).map(({ record }) => record));
  }

  #join(from: TunnelStream, to: TunnelStream, direction: Direction): void {
    let held = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      held = Buffer.concat([held, chunk]);
      for (let bytes = recordBytes(held); bytes <= held.length; bytes = recordBytes(held)) {
        this.#pass(Buffer.from(held.subarray(0, bytes)), to, direction);
        held = held.subarray(bytes);
      }
    };
    from.on("data", onData);
    from.once("end", () => to.end(held));
    from.on("error", () => to.destroy());
  }

  #pass(record: Buffer, to: TunnelStream, direction: Direction): void {
    this.seen.push({ direction, record });
    for (const piece of this.tamper(record, direction)) {
      if (piece === "fin") to.end();
      else if (!to.writableEnded) to.write(piece);
    }
  }
}

/** Length of the TLS record that begins with these bytes; more than there are when its header is not whole. */
function recordBytes(bytes: Buffer): number {
  return bytes.length < recordHeaderBytes ? recordHeaderBytes : recordHeaderBytes + bytes.readUInt16BE(3);
}
