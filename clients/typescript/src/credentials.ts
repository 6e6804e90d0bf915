/** What a request proves itself with. */

import type { Timing } from "./timing.js";

/** A machine key, as `heddle keys create` prints it. Belongs on a server, never into a page. */
export interface MachineKey {
  organizationId: string;
  /** `mk_…` */
  accessKey: string;
  secretKey: string;
}

/** Makes the headers that a request proves itself with; called anew for each. */
export type Credential = () => Promise<Record<string, string>>;

const PUBLISHABLE_KEY = /^mesh_pub_([A-Za-z0-9\-.]+)_([A-Za-z0-9\-.]+)_([^_]+)$/;
/** How long a token lives; the server takes 60 seconds at most. */
const LIFE_SECONDS = 30;

export function publishableKey(key: string): Credential {
  if (!PUBLISHABLE_KEY.test(key)) throw new TypeError("The publishable key must look like mesh_pub_…_…_…");
  const headers = { "x-heddle-publishable-key": key };
  return () => Promise.resolve(headers);
}

/** The access token of a session, as it stands. */
export function accessToken(token: string): Credential {
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) throw new TypeError("The access token is malformed");
  return () => Promise.resolve({ authorization: `Bearer ${token}` });
}

/** A fresh token for each request, signed with HS256 by WebCrypto; the secret never travels. */
export function machineKey(key: MachineKey, timing: Timing): Credential {
  const { organizationId, accessKey, secretKey } = key;
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(organizationId)) {
    throw new TypeError("organizationId must be a UUID");
  }
  if (!/^mk_[A-Za-z0-9_-]{22,}$/.test(accessKey)) throw new TypeError("accessKey must look like mk_…");
  if (!/^[A-Za-z0-9_-]{43,}$/.test(secretKey)) throw new TypeError("secretKey must have at least 43 letters, digits, _ or -");
  const head = base64url(JSON.stringify({ alg: "HS256", typ: "JWT", kid: accessKey }));
  let imported: Promise<CryptoKey> | undefined;
  return async () => {
    const { subtle } = globalThis.crypto;
    imported ??= subtle.importKey("raw", utf8(secretKey), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const now = Math.floor(timing.now() / 1000);
    const claims = base64url(
      JSON.stringify({
        iss: `urn:heddle:m2m:${accessKey}`,
        aud: "heddle-api",
        org: organizationId,
        iat: now,
        exp: now + LIFE_SECONDS,
      }),
    );
    const signature = await subtle.sign("HMAC", await imported, utf8(`${head}.${claims}`));
    return { authorization: `Bearer ${head}.${claims}.${base64url(new Uint8Array(signature))}` };
  };
}

/** A new idempotency key: 128 random bits. (`crypto.randomUUID` is missing on pages without https.) */
export function newKey(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function base64url(from: string | Uint8Array): string {
  const bytes = typeof from === "string" ? utf8(from) : from;
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
