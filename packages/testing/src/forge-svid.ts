import {
  generateKeyPair,
  identityOf,
  keyUsageBits,
  oids,
  parseSpiffeId,
  readCertificate,
  spkiOf,
  type Issuer,
  type Svid,
} from "@sallyport/identity";
import {
  buildCertificate,
  extensionTemplates as extension,
  type ExtensionTemplate,
} from "@sallyport/identity/certificate-builder";

/** What an attacker may put into a leaf. Defaults are those of a good one. */
export interface Forgery {
  /** URI names. The first one is what the SVID claims to be. */
  readonly uris: readonly [string, ...string[]];
  readonly keyUsage?: number | null;
  readonly purposes?: readonly string[] | null;
  readonly isCa?: boolean;
  readonly criticalNames?: boolean;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly further?: readonly ExtensionTemplate[];
  /** What is sent after the leaf. Default: the issuer's certificate. */
  readonly chain?: readonly Buffer[];
}

/** Signs whatever it is told to, as `issueLeaf` would not, and skips the checks of `createSvid`. */
export function forgeSvid(issuer: Issuer, forgery: Forgery): Svid {
  const { privateKey } = generateKeyPair();
  const {
    keyUsage = keyUsageBits.digitalSignature,
    purposes = [oids.serverAuth, oids.clientAuth],
    isCa = false,
    further = [],
  } = forgery;
  const notBefore = forgery.notBefore ?? new Date(Date.now() - 10_000);
  const notAfter = forgery.notAfter ?? new Date(Date.now() + 3_600_000);
  const signer = readCertificate(issuer.certificate);
  const extensions = [
    extension.uris(forgery.uris, forgery.criticalNames ?? true),
    ...(keyUsage === null ? [] : [extension.keyUsage(keyUsage)]),
    ...(purposes === null ? [] : [extension.extKeyUsage(purposes)]),
    extension.basicConstraints(isCa),
    ...further,
  ];
  const leaf = buildCertificate(
    { spki: spkiOf(privateKey), subject: null, notBefore, notAfter, extensions },
    signer.subject,
    issuer.privateKey,
  );
  return {
    identity: identityOf(parseSpiffeId(forgery.uris[0])),
    certificateChain: [leaf, ...(forgery.chain ?? [issuer.certificate])],
    privateKey,
    serial: readCertificate(leaf).serial,
    notBefore,
    notAfter,
  };
}
