import { ConnectorError } from "../errors.ts";

/** An HTTP proxy that tunnels by CONNECT (RFC 9110, section 9.3.6). Its credentials leave this object in the request to it alone. */
export class HttpProxy {
  /** `host:port`. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** Value of Proxy-Authorization (RFC 7617). */
  readonly #authorization: string | undefined;

  private constructor(url: URL) {
    this.host = url.hostname.replace(/^\[|\]$/g, "");
    this.port = url.port === "" ? defaultPort : Number(url.port);
    this.address = `${url.hostname}:${this.port}`;
    this.#authorization = authorizationOf(url);
  }

  /** @param source where the text is from, for the error; the text itself may hold a password. Throws PROXY_INVALID. */
  static parse(text: string, source: string): HttpProxy {
    try {
      const url = new URL(text.includes("://") ? text : `http://${text}`);
      if (url.protocol === "http:" && url.hostname !== "" && /^\/?$/.test(url.pathname)) return new HttpProxy(url);
    } catch {
      // Told below: the error of the parser quotes what it could not read.
    }
    throw new ConnectorError({
      code: "PROXY_INVALID",
      message: `${source} does not name a proxy that can be used.`,
      remedy:
        "Write http://host:port, or http://user:password@host:port with special characters percent-encoded; https and SOCKS proxies are not supported.",
    });
  }

  get hasLogin(): boolean {
    return this.#authorization !== undefined;
  }

  /** @param target `host:port`, the host of an IPv6 address in brackets */
  connectRequest(target: string): string {
    const login = this.#authorization === undefined ? "" : `Proxy-Authorization: ${this.#authorization}\r\n`;
    return `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${login}\r\n`;
  }
}

/** Of http, as for every URL. */
const defaultPort = 80;

function authorizationOf({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  const user = decodeURIComponent(username);
  if (user.includes(":")) throw new TypeError("A user's name has no colon (RFC 7617, section 2).");
  return `Basic ${Buffer.from(`${user}:${decodeURIComponent(password)}`).toString("base64")}`;
}
