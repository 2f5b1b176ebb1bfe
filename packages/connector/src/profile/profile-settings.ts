import { ConnectorError } from "../errors.ts";

/** `profile.json`: what is not in the certificates. */
export interface ProfileSettings {
  readonly version: 1;
  /** For people who look into the file; the certificate decides. */
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly bundleSequence: number;
  readonly routers: readonly string[];
  readonly generation: number;
}

/** Throws PROFILE_INVALID. */
export function parseSettings(text: string, path: string): ProfileSettings {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, cause);
  }
  if (!isSettings(value)) throw invalid(path);
  return value;
}

function isSettings(value: unknown): value is ProfileSettings {
  if (typeof value !== "object" || value === null) return false;
  const { version, spiffeId, trustDomain, bundleSequence, routers, generation }: Partial<Record<string, unknown>> = {
    ...value,
  };
  const strings = [spiffeId, trustDomain].every((field) => typeof field === "string");
  const counts = [bundleSequence, generation].every((field) => Number.isSafeInteger(field));
  const addresses = Array.isArray(routers) && routers.every((router) => typeof router === "string");
  return version === 1 && strings && counts && addresses;
}

function invalid(path: string, cause?: unknown): ConnectorError {
  return new ConnectorError({
    code: "PROFILE_INVALID",
    message: `${path} is not a profile of this version.`,
    remedy: "Enroll again with a new token.",
    cause,
  });
}
