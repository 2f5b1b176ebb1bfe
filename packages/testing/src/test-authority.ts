import {
  createIntermediate,
  createRoot,
  createSvid,
  generateKeyPair,
  issueLeaf,
  RotatingSvid,
  spkiOf,
  type Issuer,
  type SpiffeId,
  type Svid,
  type TrustBundle,
} from "@sallyport/identity";

export interface IssueOptions {
  /** Default: one hour. */
  readonly ttlSeconds?: number;
  /** When the certificate was made. Default: now; a time in the past makes it expired. */
  readonly now?: Date;
}

/** A root, one intermediate and as many SVIDs as a test wants. */
export interface TestAuthority {
  readonly trustDomain: string;
  readonly bundle: TrustBundle;
  readonly root: Issuer;
  readonly intermediate: Issuer;
  issue(id: SpiffeId, options?: IssueOptions): Promise<Svid>;
  source(id: SpiffeId, options?: IssueOptions): Promise<RotatingSvid>;
}

/** Begins two days ago, so that expired leaves can be made under it. */
export async function createTestAuthority(trustDomain: string = "sallyport.local"): Promise<TestAuthority> {
  const since = new Date(Date.now() - 2 * 86_400_000);
  const root = await createRoot({ trustDomain, ttlDays: 3650, now: since });
  const intermediate = await createIntermediate({ trustDomain, ttlDays: 365, now: since, issuer: root });
  const bundle: TrustBundle = { trustDomain, roots: [root.certificate], sequence: 1 };
  const issue = async (id: SpiffeId, options: IssueOptions = {}): Promise<Svid> => {
    const { privateKey } = generateKeyPair();
    const { ttlSeconds = 3600, now = new Date() } = options;
    const leaf = await issueLeaf({ id, spki: spkiOf(privateKey), ttlSeconds, now, issuer: intermediate });
    return createSvid([leaf, intermediate.certificate], privateKey);
  };
  return {
    trustDomain,
    bundle,
    root,
    intermediate,
    issue,
    source: async (id, options) => new RotatingSvid(await issue(id, options), bundle),
  };
}
