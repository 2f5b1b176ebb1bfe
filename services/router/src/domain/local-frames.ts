import { FrameError, FrameType, HEADER_BYTES, u32At, wireCodeName } from "@sallyport/frame";
import { TunnelError, type TunnelStream } from "@sallyport/tunnel";

/** Gives a stream that ends in this process the frame at `start` up to `end`. Throws FrameError for one that its sender had no right to send. */
export function receiveLocally(stream: TunnelStream, type: number, chunk: Buffer, start: number, end: number): void {
  const payloadStart = start + HEADER_BYTES;
  switch (type) {
    case FrameType.data:
      return stream.receiveData(chunk, payloadStart, end);
    case FrameType.window:
      return stream.receiveWindow(u32At(chunk, payloadStart));
    case FrameType.fin:
      return stream.receiveFin();
    case FrameType.reset:
      return stream.fail(resetBy(u32At(chunk, payloadStart)));
    default:
      throw stateInvalid(type);
  }
}

export function stateInvalid(type: number): FrameError {
  return new FrameError("STREAM_STATE_INVALID", `A frame of type ${type} does not fit the state of its stream.`);
}

function resetBy(wireCode: number): TunnelError {
  return new TunnelError("STREAM_RESET", `The workload reset the stream: ${wireCodeName(wireCode)}.`, { wireCode });
}
