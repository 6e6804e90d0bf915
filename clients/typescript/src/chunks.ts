/** Cutting many events into requests that the server takes. */

/** The most events of one request. */
export const MAX_BULK_EVENTS = 100;
/** The most bytes of one request. */
export const MAX_BULK_BYTES = 5 * 1024 * 1024;
/** What browsers let a page leave behind, with room for the headers. */
const MAX_KEEPALIVE_BYTES = 60_000;

/** Some events that go together, from the place `from` on. */
export interface Chunk {
  from: number;
  count: number;
  /** A JSON array. */
  body: string;
}

/** Cuts in order, each chunk as large as may be; an event that is too large goes alone. */
export function* chunks(texts: readonly string[], keepalive = false): Generator<Chunk> {
  const most = keepalive ? MAX_KEEPALIVE_BYTES : MAX_BULK_BYTES;
  const encoder = new TextEncoder();
  let from = 0;
  let bytes = 2;
  for (let place = 0; place < texts.length; place += 1) {
    const own = encoder.encode(texts[place]).length + 1;
    const count = place - from;
    if (count > 0 && (count === MAX_BULK_EVENTS || bytes + own > most)) {
      yield { from, count, body: `[${texts.slice(from, place).join(",")}]` };
      from = place;
      bytes = 2;
    }
    bytes += own;
  }
  if (from < texts.length) yield { from, count: texts.length - from, body: `[${texts.slice(from).join(",")}]` };
}
