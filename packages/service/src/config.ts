import { z } from "zod";
import { ServiceError } from "./service-error.ts";

/** Where to listen: an IP address and a TCP port (0: any free one). */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/** What every service is told by its environment. No value is a secret; secrets are files that a value names. */
export interface ServiceConfig {
  /** `SALLYPORT_TRUST_DOMAIN`, default `sallyport.local`. */
  readonly trustDomain: string;
  /** `SALLYPORT_INSTANCE`, default `1`: last segment of the own SPIFFE ID; a router's name. */
  readonly instance: string;
  /** `SALLYPORT_STATE_DIR`: what must outlive the process. */
  readonly stateDir: string;
  /** `SALLYPORT_KEY_ENCRYPTION_KEY_FILE`: 32 random bytes in base64; seals every private key at rest. */
  readonly keyEncryptionKeyFile: string;
  /** `SALLYPORT_BOOTSTRAP_DIR`: certificate.pem, private-key.pem (sealed), roots.pem. */
  readonly bootstrapDir: string;
  /** `SALLYPORT_GRPC_LISTEN`, default `127.0.0.1:0`. */
  readonly grpcListen: ListenAddress;
  /** `SALLYPORT_CA_ADDRESS`: `host:port` of the CA's gRPC. */
  readonly caAddress: string;
  /** `SALLYPORT_NATS_URL`: `tls://host:port`. */
  readonly natsUrl: string;
  /** `SALLYPORT_LOG_LEVEL`, default `info`. */
  readonly logLevel: LogLevel;
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const TRUST_DOMAIN = /^[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?$/;
const HOST_PORT = /^(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/;

/** `host:port` with a port that exists. */
export const hostPort: z.ZodString = z
  .string()
  .regex(HOST_PORT, "must be host:port")
  .refine((value) => portOf(value) <= 65_535, "port must be at most 65535") as z.ZodString;

/** `host:port` read into its parts; port 0 asks for any free one. */
export const listenAddress: z.ZodType<ListenAddress, string> = hostPort.transform((value) => ({
  host: value.slice(0, value.lastIndexOf(":")).replace(/^\[|\]$/g, ""),
  port: portOf(value),
}));

/** A whole number within bounds, ends included. */
export function wholeNumber(bounds: { readonly min: number; readonly max: number }): z.ZodType<number, string> {
  const { min, max } = bounds;
  return z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`);
}

function portOf(value: string): number {
  return Number(value.slice(value.lastIndexOf(":") + 1));
}

const commonVariables = {
  SALLYPORT_TRUST_DOMAIN: z.string().regex(TRUST_DOMAIN).default("sallyport.local"),
  SALLYPORT_INSTANCE: z.string().regex(NAME).default("1"),
  SALLYPORT_STATE_DIR: z.string().min(1),
  SALLYPORT_KEY_ENCRYPTION_KEY_FILE: z.string().min(1),
  SALLYPORT_BOOTSTRAP_DIR: z.string().min(1),
  SALLYPORT_GRPC_LISTEN: listenAddress.default({ host: "127.0.0.1", port: 0 }),
  SALLYPORT_CA_ADDRESS: hostPort,
  SALLYPORT_NATS_URL: z.string().regex(/^tls:\/\/[^\s]+:\d+$/, "must be tls://host:port"),
  SALLYPORT_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
};

/**
 * Reads the common variables and a service's own.
 * An unknown `SALLYPORT_*` variable is refused: a misspelt setting that is silently ignored is worse than a process that does not start.
 *
 * @param own schema by variable name, of what only this service knows.
 * @returns the common configuration, and the parsed values of `own` by variable name.
 * @throws ServiceError CONFIG_INVALID, naming each variable at fault.
 */
export function readServiceConfig<Own extends z.ZodRawShape>(
  env: NodeJS.ProcessEnv,
  own: Own,
): { readonly common: ServiceConfig; readonly own: z.output<z.ZodObject<Own>> } {
  refuseUnknown(env, [...Object.keys(commonVariables), ...Object.keys(own)]);
  const common = parse(z.object(commonVariables), env);
  return {
    common: {
      trustDomain: common.SALLYPORT_TRUST_DOMAIN,
      instance: common.SALLYPORT_INSTANCE,
      stateDir: common.SALLYPORT_STATE_DIR,
      keyEncryptionKeyFile: common.SALLYPORT_KEY_ENCRYPTION_KEY_FILE,
      bootstrapDir: common.SALLYPORT_BOOTSTRAP_DIR,
      grpcListen: common.SALLYPORT_GRPC_LISTEN,
      caAddress: common.SALLYPORT_CA_ADDRESS,
      natsUrl: common.SALLYPORT_NATS_URL,
      logLevel: common.SALLYPORT_LOG_LEVEL,
    },
    own: parse(z.object(own), env),
  };
}

function refuseUnknown(env: NodeJS.ProcessEnv, known: readonly string[]): void {
  const unknown = Object.keys(env).filter((name) => name.startsWith("SALLYPORT_") && !known.includes(name));
  if (unknown.length === 0) return;
  throw new ServiceError({
    code: "CONFIG_INVALID",
    message: `unknown setting: ${unknown.join(", ")}`,
    remedy: `Known settings are ${listed(known).join(", ")}.`,
  });
}

/** Limits are many, and documented beside each other: a message that named them all would hide what it says. */
function listed(known: readonly string[]): readonly string[] {
  const others = known.filter((name) => !name.startsWith("SALLYPORT_LIMIT_"));
  return others.length === known.length ? known : [...others, "SALLYPORT_LIMIT_<NAME> (docs/limits.md)"];
}

function parse<Schema extends z.ZodType>(schema: Schema, env: NodeJS.ProcessEnv): z.output<Schema> {
  const result = schema.safeParse(env);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new ServiceError({
    code: "CONFIG_INVALID",
    message: `settings are not usable: ${faults.join("; ")}`,
    remedy: "Correct the named environment variables and start again.",
  });
}

/** The environment of this process: read here and in a service's `main.ts`, nowhere else. */
export function processEnvironment(): NodeJS.ProcessEnv {
  return process.env;
}
