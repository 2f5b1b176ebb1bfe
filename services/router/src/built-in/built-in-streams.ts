import { WireCode } from "@sallyport/frame";
import type { TunnelStream } from "@sallyport/tunnel";
import { refusal } from "../domain/refusal.ts";
import type { RouterTunnel } from "../domain/router-tunnel.ts";
import type { BuiltIns } from "../domain/switchboard.ts";
import type { PolicyMirror } from "../store/policy-mirror.ts";
import type { PublishBlock } from "../subjects/audit-blocks.ts";
import { serveAudit } from "./audit-stream.ts";
import { serveEnrollment } from "./enrollment-stream.ts";
import { acceptLocally } from "./local-stream.ts";
import { servePolicy } from "./policy-stream.ts";

const prefix = "sallyport.";

export interface BuiltInOptions {
  readonly mirror: PolicyMirror;
  readonly publishBlock: PublishBlock;
  readonly enrollmentAddress: { readonly host: string; readonly port: number };
  readonly maxPerTunnel: number;
  /** A stream was refused since there were so many. */
  readonly onShed: () => void;
  /** A stream that broke: for the log only. */
  readonly onTrouble: (service: string, error: unknown) => void;
}

type Serve = (stream: TunnelStream, tunnel: RouterTunnel) => Promise<void>;

/** Services of the network itself: open to every workload that has a tunnel, since without them it could neither learn policy nor renew. */
export class BuiltInStreams implements BuiltIns {
  readonly #services: ReadonlyMap<string, Serve>;
  readonly #options: BuiltInOptions;
  readonly #open = new WeakMap<RouterTunnel, number>();

  constructor(options: BuiltInOptions) {
    this.#options = options;
    this.#services = new Map<string, Serve>([
      ["sallyport.policy", (stream, { peer }) => servePolicy(stream, peer, options.mirror)],
      ["sallyport.audit", (stream, { peer }) => serveAudit(stream, peer, options.publishBlock)],
      ["sallyport.enrollment", (stream) => serveEnrollment(stream, options.enrollmentAddress)],
    ]);
  }

  owns(service: string): boolean {
    return service.startsWith(prefix);
  }

  open(tunnel: RouterTunnel, streamId: number, service: string): void {
    const serve = this.#services.get(service);
    const open = this.#open.get(tunnel) ?? 0;
    if (serve === undefined)
      return tunnel.refuse(
        streamId,
        refusal("SERVICE_UNKNOWN", `There is no built-in service "${service.slice(0, 64)}".`),
      );
    if (open >= this.#options.maxPerTunnel) {
      this.#options.onShed();
      return tunnel.refuse(streamId, refusal("OVERLOADED", "Too many built-in streams on this tunnel."));
    }
    this.#open.set(tunnel, open + 1);
    void this.#serve(serve, tunnel, streamId, service);
  }

  async #serve(serve: Serve, tunnel: RouterTunnel, streamId: number, service: string): Promise<void> {
    const stream = acceptLocally(tunnel, streamId);
    // The reason reaches `serve`, which reads and writes the stream.
    stream.on("error", () => undefined);
    stream.on("close", () => this.#open.set(tunnel, (this.#open.get(tunnel) ?? 1) - 1));
    try {
      await serve(stream, tunnel);
    } catch (error) {
      if (!stream.destroyed) stream.reset(WireCode.internal);
      this.#options.onTrouble(service, error);
    }
  }
}
