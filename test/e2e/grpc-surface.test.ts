/** The gRPC surface as somebody meets it who has only an address and an administrator's SVID: an integrator, a probe, a tool of another language. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { holderBootstrap, holderId, startNetwork, type Network, type ServiceName } from "@sallyport/constellation";
import { pemOf, RotatingSvid } from "@sallyport/identity";
import { ErrorDetail } from "@sallyport/proto/errors";
import { HealthCheckResponse_ServingStatus as ServingStatus, HealthService } from "@sallyport/proto/health";
import {
  ServerReflectionService,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "@sallyport/proto/reflection";
import { Status } from "@sallyport/proto/status";
import {
  callUnary,
  grpcChannel,
  remoteIssuer,
  requestSvid,
  RpcError,
  type GrpcChannel,
  type IssuedSvid,
} from "@sallyport/service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { grpcAddress } from "../network/grpc-address.ts";
import { temporaryHome, type TemporaryHome } from "../network/temporary-home.ts";

const standard = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];

/** A call of each service that fails by its own rules. */
interface Failure {
  readonly method: string;
  /** As JSON for tools, as bytes for the wire. */
  readonly request: object;
  readonly encoded: Buffer;
  readonly detail: Partial<ErrorDetail>;
}

const surface: Readonly<Record<ServiceName, { readonly service: string; readonly failure: Failure }>> = {
  ca: {
    service: "sallyport.ca.v1.CertificateAuthorityService",
    failure: {
      method: "IssueServiceSvid",
      request: {},
      encoded: Buffer.alloc(0),
      detail: { code: "CALLER_NOT_ALLOWED", remedy: "The method is for a bootstrap credential." },
    },
  },
  enrollment: {
    service: "sallyport.enrollment.v1.EnrollmentService",
    failure: {
      method: "CreateToken",
      request: { workload: "NO NAME" },
      encoded: textField(1, "NO NAME"),
      detail: { code: "NAME_INVALID", field: "workload" },
    },
  },
  policy: {
    service: "sallyport.policy.v1.PolicyService",
    failure: {
      method: "Revoke",
      request: {},
      encoded: Buffer.alloc(0),
      detail: {
        code: "SUBJECT_INVALID",
        field: "subject",
        remedy: "Name a workload, an instance, a serial or an issuer.",
      },
    },
  },
  router: {
    service: "sallyport.router.v1.RouterService",
    failure: {
      method: "GetStatus",
      request: {},
      encoded: Buffer.alloc(0),
      detail: { code: "CALLER_NOT_ALLOWED", remedy: "The method is for a SPIFFE ID of kind admin." },
    },
  },
  audit: {
    service: "sallyport.audit.v1.AuditService",
    failure: {
      method: "Search",
      request: { limit: 5_000 },
      encoded: Buffer.from([0x10, 0x88, 0x27]),
      detail: { code: "FILTER_INVALID", field: "limit" },
    },
  },
};
const names = Object.keys(surface) as ServiceName[]; // What Object.keys forgets of its argument.

let home: TemporaryHome;
let network: Network;
let admin: IssuedSvid;
/** Has an SVID, and is no administrator. */
let router: IssuedSvid;

beforeAll(async () => {
  home = await temporaryHome();
  network = await startNetwork({ stateDir: home.stateDir, keyDir: home.keyDir, env: home.env, timeoutMs: 60_000 });
  [admin, router] = await Promise.all([svidOf("admin"), svidOf("router")]);
});

afterAll(async () => {
  await network?.stop();
  await home?.[Symbol.asyncDispose]();
});

describe.each(names)("%s", (name) => {
  test("lists exactly its own service of proto/ and the standard ones, and describes each", async () => {
    using channel = channelTo(name);
    const listed = await reflect(channel, { $case: "listServices", value: "" });
    const expected = [surface[name].service, ...standard];
    expect(listed).toEqual({
      $case: "listServicesResponse",
      value: { service: expected.map((service) => ({ name: service })) },
    });
    for (const service of expected) {
      const described = await reflect(channel, { $case: "fileContainingSymbol", value: service });
      expect(described?.$case, service).toBe("fileDescriptorResponse");
    }
  });

  test("is SERVING, as a process and by the service's name", async () => {
    using channel = channelTo(name);
    for (const service of ["", surface[name].service]) {
      expect(await callUnary(channel, HealthService.check, { service })).toEqual({ status: ServingStatus.SERVING });
    }
  });

  test("tells a failure by google.rpc.Status with one ErrorDetail", async () => {
    using channel = channelTo(name, name === "router" ? router : admin);
    const { failure, service } = surface[name];
    const bytes = (encoded: Buffer): Buffer => encoded;
    const method = {
      path: `/${service}/${failure.method}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    };
    const error = await callUnary(channel, method, failure.encoded).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof RpcError)) throw new Error(`it did not fail: ${String(error)}`);
    const carried = Status.decode(statusTrailer(error));
    expect(carried).toMatchObject({ code: error.status, message: error.message });
    expect(carried.details.map(({ typeUrl }) => typeUrl)).toEqual([
      "type.googleapis.com/sallyport.errors.v1.ErrorDetail",
    ]);
    expect(ErrorDetail.decode(carried.details[0]?.value ?? Buffer.alloc(0))).toMatchObject(failure.detail);
  });
});

const grpcurl = await inPath("grpcurl");

describe.skipIf(grpcurl === undefined)(`grpcurl${grpcurl === undefined ? " (SKIPPED: it is not in PATH)" : ""}`, () => {
  test.each(names)("lists, describes, probes and calls %s, and shows its error's detail", async (name) => {
    const { service, failure } = surface[name];
    const caller = name === "router" ? router : admin;
    const folder = join(home.folder, `grpcurl-${name}`);
    await mkdir(folder, { mode: 0o700 });
    const [certificate, key] = [join(folder, "svid.pem"), join(folder, "key.pem")];
    await writeFile(certificate, pemOf(caller.svid.certificateChain), { mode: 0o600 });
    await writeFile(key, caller.svid.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    // Names in a certificate prove nothing here, which grpcurl can only be told by trusting any.
    const flags = ["-insecure", "-max-time", "10", "-cert", certificate, "-key", key];
    const address = grpcAddress(network.admin.network, name);
    const run = (before: readonly string[], ...after: readonly string[]): Promise<string> =>
      promisify(execFile)(grpcurl ?? "", [...flags, ...before, address, ...after]).then(({ stdout }) => stdout);

    expect((await run([], "list")).trim().split("\n").toSorted()).toEqual([service, ...standard].toSorted());
    expect(await run([], "describe", service)).toContain(`rpc ${failure.method} `);
    expect(await run(["-d", "{}"], "grpc.health.v1.Health/Check")).toContain('"SERVING"');
    const refused = await run(["-d", JSON.stringify(failure.request)], `${service}/${failure.method}`).catch(String);
    expect(refused).toContain("sallyport.errors.v1.ErrorDetail");
    expect(refused).toContain(`"code": "${failure.detail.code}"`);
  });
});

async function svidOf(holder: "admin" | "router"): Promise<IssuedSvid> {
  const { ports, trustDomain } = network.admin.network;
  using issue = remoteIssuer({
    caAddress: `127.0.0.1:${ports.ca}`,
    bootstrap: await holderBootstrap(home.stateDir, holder),
  });
  const expectUri = holderId(holder, trustDomain).uri;
  return await requestSvid(issue, { bus: false, expectUri, signal: AbortSignal.timeout(5_000) });
}

function channelTo(name: ServiceName, { svid, bundle }: IssuedSvid = admin): GrpcChannel {
  const { network: file } = network.admin;
  return grpcChannel({
    address: grpcAddress(file, name),
    identity: new RotatingSvid(svid, bundle),
    expect: ({ id }) => id.uri === holderId(name, file.trustDomain).uri,
  });
}

async function reflect(
  { client }: GrpcChannel,
  messageRequest: NonNullable<ServerReflectionRequest["messageRequest"]>,
): Promise<ServerReflectionResponse["messageResponse"]> {
  const { path, requestSerialize, responseDeserialize } = ServerReflectionService.serverReflectionInfo;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  stream.write({ host: "", messageRequest });
  const [answer] = (await once(stream, "data", { signal: AbortSignal.timeout(5_000) })) as [ServerReflectionResponse];
  stream.end();
  await once(stream.resume(), "end");
  return answer.messageResponse;
}

/** The trailer as it came, not as our client understood it. */
function statusTrailer({ cause }: RpcError): Buffer {
  const metadata: unknown = cause instanceof Error ? Reflect.get(cause, "metadata") : undefined;
  const get: unknown = typeof metadata === "object" && metadata !== null ? Reflect.get(metadata, "get") : undefined;
  const values: unknown = typeof get === "function" ? Reflect.apply(get, metadata, ["grpc-status-details-bin"]) : [];
  const [value]: unknown[] = Array.isArray(values) ? values : [];
  if (value instanceof Buffer) return value;
  throw new Error("the failure has no trailer `grpc-status-details-bin`");
}

/** A message with one short text. */
function textField(field: number, text: string): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, text.length]), Buffer.from(text)]);
}

async function inPath(command: string): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const file = join(folder, command);
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}
