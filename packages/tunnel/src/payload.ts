import { FrameError } from "@sallyport/frame";

/** The part of a ts-proto message type that decoding needs. */
export interface Decoder<T> {
  decode(bytes: Uint8Array): T;
}

/** The protobuf payload of a frame. Throws FrameError PAYLOAD_INVALID for what does not decode. */
export function decodePayload<T>(decoder: Decoder<T>, bytes: Uint8Array): T {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new FrameError("PAYLOAD_INVALID", "The protobuf payload of a frame does not decode.", { cause });
  }
}
