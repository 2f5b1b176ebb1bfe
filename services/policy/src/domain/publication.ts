import { encodeDenyList, encodeSlice, DENY_LIST_TYPE, SLICE_TYPE, type PayloadType } from "@sallyport/policy-engine";
import { DenyList, Slice } from "@sallyport/proto/policy";

/** Everything that routers should hold: what the source comes to. */
export interface Publication {
  readonly policyVersion: number;
  readonly slices: ReadonlyMap<string, Slice>;
  readonly denyList: DenyList;
}

/** One payload and where it belongs. */
export interface Item {
  readonly key: string;
  readonly type: PayloadType;
  readonly payload: Uint8Array;
  readonly version: number;
  /** The version of a payload of the same kind. */
  readonly versionOf: (payload: Uint8Array) => number;
}

export function itemsOf(
  { slices, denyList }: Publication,
  keys: { readonly denyList: string; readonly slice: (service: string) => string },
): Item[] {
  const items = [...slices].map(([service, slice]): Item => {
    const versionOf = (payload: Uint8Array): number => Slice.decode(payload).version;
    return {
      key: keys.slice(service),
      type: SLICE_TYPE,
      payload: encodeSlice(slice),
      version: slice.version,
      versionOf,
    };
  });
  const versionOf = (payload: Uint8Array): number => DenyList.decode(payload).version;
  return [
    ...items,
    {
      key: keys.denyList,
      type: DENY_LIST_TYPE,
      payload: encodeDenyList(denyList),
      version: denyList.version,
      versionOf,
    },
  ];
}
