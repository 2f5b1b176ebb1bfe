import type { DeniedSubject } from "@sallyport/policy-engine";

/** A workload as requests name it: by a SPIFFE ID one instance, by a name all of them. */
export function workloadSubject(workload: string): DeniedSubject {
  return { kind: workload.startsWith("spiffe://") ? "instance" : "name", value: workload };
}
