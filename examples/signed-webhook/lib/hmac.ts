/** Checks `sha256=<hex>` over `body`; `crypto.subtle.verify` compares in constant time. */
export async function verifies(secret: string, body: string, signature: string): Promise<boolean> {
  const hex = /^sha256=((?:[0-9a-f]{2})+)$/.exec(signature)?.[1];
  if (hex === undefined) return false;
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, [
    "verify",
  ]);
  const bytes = Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
  return crypto.subtle.verify("HMAC", key, bytes, encoder.encode(body));
}
