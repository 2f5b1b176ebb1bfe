/** Object identifiers by the names of RFC 5280 and RFC 5758. */
export const oids = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
} as const;

/** KeyUsage bits (RFC 5280 §4.2.1.3), by position from the most significant bit of the first byte. */
export const keyUsageBits = {
  digitalSignature: 0x80,
  keyCertSign: 0x04,
  cRLSign: 0x02,
} as const;
