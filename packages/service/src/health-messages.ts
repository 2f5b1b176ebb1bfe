/** `grpc.health.v1.Health`, the two methods that probes call. https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Method } from "./rpc-method.ts";

/** `ServingStatus` on the wire. */
export const servingStatus = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;
export type ServingStatus = (typeof servingStatus)[keyof typeof servingStatus];

export interface HealthCheckRequest {
  readonly service: string;
}

export interface HealthCheckResponse {
  readonly status: number;
}

const messages = {
  requestSerialize: ({ service }: HealthCheckRequest) => bytes(new BinaryWriter().uint32(10).string(service)),
  requestDeserialize: (encoded: Buffer) => ({ service: fieldOne(encoded, (reader) => reader.string()) ?? "" }),
  responseSerialize: ({ status }: HealthCheckResponse) => bytes(new BinaryWriter().uint32(8).int32(status)),
  responseDeserialize: (encoded: Buffer) => ({ status: fieldOne(encoded, (reader) => reader.int32()) ?? 0 }),
};

export interface HealthMethods {
  readonly check: Method<HealthCheckRequest, HealthCheckResponse> & { readonly responseStream: false };
  readonly watch: Method<HealthCheckRequest, HealthCheckResponse> & { readonly responseStream: true };
}

export const HealthService: HealthMethods = {
  check: { path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false, ...messages },
  watch: { path: "/grpc.health.v1.Health/Watch", requestStream: false, responseStream: true, ...messages },
};

function bytes(writer: BinaryWriter): Buffer {
  return Buffer.from(writer.finish());
}

/** Both messages have one field, number 1; the last one given counts, others are skipped. */
function fieldOne<T>(encoded: Buffer, read: (reader: BinaryReader) => T): T | undefined {
  const reader = new BinaryReader(encoded);
  let value: T | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) value = read(reader);
    else reader.skip(wireType);
  }
  return value;
}
