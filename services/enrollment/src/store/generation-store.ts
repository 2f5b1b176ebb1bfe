import type { KV } from "@nats-io/kv";
import { z } from "zod";
import type { Generation, GenerationStore, WorkloadInstance } from "../domain/ports.ts";
import { Bucket } from "./bucket.ts";

const schema: z.ZodType<Generation> = z.strictObject({ generation: z.int().positive(), thumbprint: z.string() });

/** Keys `workload.<name>.<instance>`. */
export function generationStore(kv: KV): GenerationStore {
  const bucket = new Bucket(kv, schema);
  return {
    get: (of) => bucket.get(keyOf(of)),
    create: (of, generation) => bucket.create(keyOf(of), generation),
    replace: (of, revision, generation) => bucket.replace(keyOf(of), revision, generation),
  };
}

function keyOf({ name, instance }: WorkloadInstance): string {
  return `workload.${name}.${instance}`;
}
