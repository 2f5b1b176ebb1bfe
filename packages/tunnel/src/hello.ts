import { FrameError, INITIAL_WINDOW_BYTES } from "@sallyport/frame";
import type { Hello } from "@sallyport/proto/tunnel";

export const PROTOCOL_VERSION = 1;
const MAX_SOFTWARE_BYTES = 64;
const MAX_ROUTER_ID_BYTES = 2048;

/** Throws FrameError unless this side can speak with whoever said `hello`. */
export function checkHello(hello: Hello): Hello {
  if (hello.protocolVersion !== PROTOCOL_VERSION) {
    throw new FrameError(
      "VERSION_UNSUPPORTED",
      `The peer speaks protocol version ${hello.protocolVersion}, this side ${PROTOCOL_VERSION}.`,
    );
  }
  // Credit passes through routers end to end, so both ends of a circuit must start from the same number.
  if (hello.initialWindowBytes !== INITIAL_WINDOW_BYTES) {
    throw new FrameError(
      "HELLO_INVALID",
      `Version 1 has an initial window of ${INITIAL_WINDOW_BYTES} bytes, not ${hello.initialWindowBytes}.`,
    );
  }
  if (
    Buffer.byteLength(hello.software) > MAX_SOFTWARE_BYTES ||
    Buffer.byteLength(hello.routerId) > MAX_ROUTER_ID_BYTES
  ) {
    throw new FrameError("HELLO_INVALID", "The hello's software or router id is too long.");
  }
  return hello;
}
