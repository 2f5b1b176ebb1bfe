import type { GetStatusRequest, GetStatusResponse } from "@sallyport/proto/audit";
import type { UnaryHandler } from "@sallyport/service";
import type { AuditStore } from "../store/audit-store.ts";
import type { AuditBlocks } from "../subjects/audit-blocks.ts";
import { rpcErrorOf } from "./rpc-error-of.ts";

export function getStatus(store: AuditStore, blocks: AuditBlocks): UnaryHandler<GetStatusRequest, GetStatusResponse> {
  return async () => {
    try {
      const [totals, pending] = await Promise.all([store.totals(), blocks.pending()]);
      return { ...totals, pending };
    } catch (error) {
      throw rpcErrorOf(error);
    }
  };
}
