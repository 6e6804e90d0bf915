/** Events that are sent together, a moment after they came. */

import { MAX_BULK_EVENTS, chunks } from "./chunks.js";
import { newKey } from "./credentials.js";
import { HeddleError } from "./errors.js";
import type { AcceptedEvent, BatchResult, EventInput } from "./events.js";
import type { Timing } from "./timing.js";

/** An event of the queue that was not accepted. It has an `id`: queued again within 24 hours it cannot double. */
export interface Rejected {
  event: EventInput;
  error: HeddleError;
}

/** How the queue works. */
export interface BatchOptions {
  /** Sent at once when so many wait: 1 to 100; 100 when absent. */
  size?: number;
  /** Sent so many milliseconds after the first came; 1,000 when absent. */
  interval?: number;
  /** `enqueue` throws when so many wait; 10,000 when absent. */
  maxQueue?: number;
  /** Told what the server has accepted. */
  onAccepted?: (events: AcceptedEvent[]) => void;
  /** Told what was refused, or could not be sent with all retries; written to the console when absent. */
  onRejected?: (rejected: Rejected[]) => void;
}

interface Waiting {
  event: EventInput;
  text: string;
}

export class Queue {
  readonly #send: (body: string, options: { keepalive?: boolean }) => Promise<BatchResult>;
  readonly #write: (event: EventInput) => string;
  readonly #timing: Timing;
  readonly #options: Required<Pick<BatchOptions, "size" | "interval" | "maxQueue">> & BatchOptions;
  #waiting: Waiting[] = [];
  #sending: Promise<void> = Promise.resolve();
  /** Whether a flush waits for its turn, which will take all that is there then. */
  #due = false;
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor(
    send: (body: string, options: { keepalive?: boolean }) => Promise<BatchResult>,
    write: (event: EventInput) => string,
    timing: Timing,
    options: BatchOptions = {},
  ) {
    const { size = MAX_BULK_EVENTS, interval = 1_000, maxQueue = 10_000 } = options;
    if (!(size >= 1 && size <= MAX_BULK_EVENTS)) throw new RangeError(`batch.size must be 1 to ${MAX_BULK_EVENTS}`);
    if (!(interval >= 0 && interval <= 3_600_000)) throw new RangeError("batch.interval must be 0 to 3600000");
    if (!(maxQueue >= size)) throw new RangeError("batch.maxQueue must be at least batch.size");
    this.#send = send;
    this.#write = write;
    this.#timing = timing;
    this.#options = { ...options, size, interval, maxQueue };
  }

  get length(): number {
    return this.#waiting.length;
  }

  put(given: EventInput): void {
    if (this.#closed) throw new HeddleError("The client is closed", { code: "closed" });
    const { size, interval, maxQueue } = this.#options;
    if (this.#waiting.length >= maxQueue) {
      throw new HeddleError(`${maxQueue} events wait already`, { code: "queue_full" });
    }
    // Named now, so that however it is sent, and with what, it is accepted once.
    const event = { ...given, id: given.id ?? newKey() };
    // Written now, so that what its maker does with it later changes nothing.
    this.#waiting.push({ event, text: this.#write(event) });
    if (this.#due) return;
    if (this.#waiting.length >= size) void this.flush();
    else this.#cancelTimer ??= this.#timing.after(interval, () => void this.flush());
  }

  /**
   * Never rejects. Requests follow each other, so that a slow server is not sent ever more at once; but a page that
   * goes away cannot wait for its turn.
   */
  flush(options: { keepalive?: boolean } = {}): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (options.keepalive) return this.#sendAll(options);
    this.#due = true;
    this.#sending = this.#sending.then(() => this.#sendAll(options));
    return this.#sending;
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.flush();
  }

  async #sendAll(options: { keepalive?: boolean }): Promise<void> {
    const taken = this.#waiting;
    this.#due = false;
    this.#waiting = [];
    for (const chunk of chunks(taken.map(({ text }) => text), options.keepalive)) {
      const events = taken.slice(chunk.from, chunk.from + chunk.count).map(({ event }) => event);
      let accepted: AcceptedEvent[] = [];
      let rejected: Rejected[] = [];
      try {
        const { records } = await this.#send(chunk.body, options);
        accepted = records.filter((record) => "id" in record) as AcceptedEvent[];
        rejected = events.flatMap((event, place) => {
          const record = records[place];
          if (record && "id" in record) return [];
          const message = record?.error?.message ?? record?.message ?? "the server did not answer for it";
          const code = record?.code ?? "unreadable_answer";
          return [{ event, error: new HeddleError(message, { code, data: record }) }];
        });
      } catch (thrown) {
        const error =
          thrown instanceof HeddleError ? thrown : new HeddleError(String(thrown), { code: "unexpected" }, thrown);
        rejected = events.map((event) => ({ event, error }));
      }
      this.#tell(accepted, rejected);
    }
  }

  /** What the callbacks throw is theirs, and does not stop the queue. */
  #tell(accepted: AcceptedEvent[], rejected: Rejected[]): void {
    const { onAccepted, onRejected = complain } = this.#options;
    try {
      if (accepted.length > 0) onAccepted?.(accepted);
      if (rejected.length > 0) onRejected(rejected);
    } catch (error) {
      console.error("heddle: a callback of the queue failed:", error);
    }
  }
}

function complain(rejected: Rejected[]): void {
  console.error(`heddle: ${rejected.length} queued events were not accepted: ${rejected[0]?.error.message}`);
}
