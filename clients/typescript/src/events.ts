/** Emitting: one event, many, or as they come. */

import { MAX_BULK_BYTES, chunks } from "./chunks.js";
import { type MachineKey, machineKey, newKey, publishableKey } from "./credentials.js";
import { HeddleError, isObject } from "./errors.js";
import { type BatchOptions, Queue } from "./queue.js";
import { type ClientOptions, type RequestOptions, Transport } from "./transport.js";
import { realTiming } from "./timing.js";

/** An event as it is sent. */
export interface EventInput {
  /** Its name, such as `lesson.completed`: 1 to 128 bytes. */
  event: string;
  /** Any JSON object of at most 256 KiB. Destinations that work with people look for `email` in it. */
  payload: object;
  /** The kind of thing that it is about; `global` when absent. */
  resource?: string;
  /** Which one. */
  resource_id?: string;
  type?: "event";
  /** Whose it is. Known with a publishable key. */
  workspace?: string;
  /** Its idempotency key: within 24 hours it is accepted once, however often it is sent. */
  id?: string;
}

/** An event that is on the server's disk, with its deliveries. */
export interface AcceptedEvent {
  id: string;
  event: string;
  resource?: string;
  resource_id?: string;
  type: string;
  workspace: string;
  created_by: string;
  created_at: string;
  /** In a batch: it was there already, under its `id`. */
  idempotent_replay?: boolean;
}

/** An event of a batch that the server refused. */
export interface RefusedEvent {
  message: string;
  code?: string;
  error?: { name?: string; message?: string; data?: { param: string; msg: string }[] };
}

/** What became of a batch; each record stands at the place of its event. */
export interface BatchResult {
  count: number;
  /** Absent when all were accepted. */
  error_count?: number;
  records: (AcceptedEvent | RefusedEvent)[];
}

/** What a call that emits may say. */
export interface EmitOptions extends RequestOptions {
  /**
   * Under which the call is accepted once within 24 hours. One is made for each call when this is absent, so that
   * the client's own retries never double; give one to make your own repetitions as safe. Of a batch it counts for
   * events without an `id`, by their place.
   */
  idempotencyKey?: string;
  /** Lets a browser finish the request after the page is gone. Browsers take some 60 kB of these at a time. */
  keepalive?: boolean;
}

/** What an events client is made with. */
export interface EventsClientOptions extends ClientOptions {
  /** Of events that name none themselves; needed with a machine key, superfluous with a publishable one. */
  workspace?: string;
  /** Of `enqueue`. */
  batch?: BatchOptions;
}

/** Whether a record of a batch is an event that was accepted. */
export function isAccepted(record: AcceptedEvent | RefusedEvent): record is AcceptedEvent {
  return "id" in record;
}

/**
 * Emits events, from a backend, a browser or an edge function.
 *
 * ```ts
 * const events = new EventsClient("mesh_pub_…", { apiBaseUrl: "https://heddle.example.com" });
 * const { event } = await events.emit({ event: "lesson.completed", payload: { email: "nina@academyflow.io" } });
 * ```
 */
export class EventsClient {
  readonly #transport: Transport;
  readonly #workspace: string | undefined;
  readonly #queue: Queue;

  /** `credential` is a workspace's publishable key, or (on servers only) a machine key. */
  constructor(credential: string | MachineKey, options: EventsClientOptions) {
    const proof =
      typeof credential === "string"
        ? publishableKey(credential)
        : machineKey(credential, options.timing ?? realTiming);
    this.#transport = new Transport(proof, options);
    this.#workspace = options.workspace;
    this.#queue = new Queue(
      (body, sent) => this.#bulk(body, sent),
      (event) => this.#text(event),
      this.#transport.timing,
      options.batch,
    );
  }

  /** Resolves once the event is on the server's disk, with a delivery for every rule that it matched. */
  async emit(event: EventInput, options: EmitOptions = {}): Promise<{ event: AcceptedEvent }> {
    const sent = keyed(options);
    const body = this.#text(event);
    const key = event.id === undefined ? (sent.idempotencyKey ?? newKey()) : undefined;
    return (await this.#post("/events", body, key, sent)) as { event: AcceptedEvent };
  }

  /**
   * Emits any number of events, in requests of at most 100 events and 5 MiB, one after the other. Each event is
   * accepted or refused by itself; look at `error_count`. It throws when a whole request fails for good, with
   * what had been answered before in `partial`.
   */
  async emitBatch(events: readonly EventInput[], options: EmitOptions = {}): Promise<BatchResult> {
    const sent = keyed(options);
    if (!Array.isArray(events) || events.length === 0) throw invalid("a batch is an array of at least one event");
    const texts = events.map((event, place) => this.#text(event, `events[${place}]`));
    const whole: BatchResult = { count: 0, records: [] };
    let number = 0;
    for (const chunk of chunks(texts, sent.keepalive)) {
      const key = number === 0 ? sent.idempotencyKey : sent.idempotencyKey && `${sent.idempotencyKey}/${number}`;
      number += 1;
      try {
        const answer = await this.#bulk(chunk.body, sent, key);
        whole.count += answer.records.length;
        whole.records.push(...answer.records);
        if (answer.error_count) whole.error_count = (whole.error_count ?? 0) + answer.error_count;
      } catch (error) {
        if (error instanceof HeddleError && whole.count > 0) error.partial = whole;
        throw error;
      }
    }
    return whole;
  }

  /**
   * Puts an event into the queue, which is sent when it holds `batch.size` events and `batch.interval` after the
   * first of them came. Throws at once when the event cannot be sent, when the queue is full, or after `close`.
   */
  enqueue(event: EventInput): void {
    this.#queue.put(event);
  }

  /** How many events wait in the queue. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Sends what is queued, and resolves when each event of it was accepted, or given to `batch.onRejected`. */
  flush(options: { keepalive?: boolean } = {}): Promise<void> {
    return this.#queue.flush(options);
  }

  /** The last flush. Nothing can be queued from now on. */
  close(): Promise<void> {
    return this.#queue.close();
  }

  async #bulk(body: string, options: EmitOptions, key: string = newKey()): Promise<BatchResult> {
    return (await this.#post("/events/bulk", body, key, options)) as BatchResult;
  }

  #post(path: string, body: string, key: string | undefined, options: EmitOptions): Promise<unknown> {
    const headers: Record<string, string> = key === undefined ? {} : { "idempotency-key": key };
    // Under its key it is accepted once: it can always be sent again.
    const outgoing = { method: "POST", path, body, headers, repeatable: true, keepalive: options.keepalive };
    return this.#transport.send(outgoing, options);
  }

  /** The event as JSON; throws what the server would refuse for certain. */
  #text(event: EventInput, name = "the event"): string {
    if (!isObject(event)) throw invalid(`${name} must be an object`);
    if (typeof event.event !== "string" || event.event.trim() === "") throw invalid(`${name} needs a name in \`event\``);
    if (!isObject(event.payload)) throw invalid(`${name} needs an object as \`payload\``);
    let text: string;
    try {
      text = JSON.stringify({ workspace: this.#workspace, ...event });
    } catch (error) {
      throw invalid(`${name} cannot be written as JSON`, error);
    }
    if (text.length > MAX_BULK_BYTES) {
      throw new HeddleError(`${name} is far over the limit of 256 KiB`, { code: "payload_too_large" });
    }
    return text;
  }
}

function invalid(message: string, cause?: unknown): HeddleError {
  return new HeddleError(message, { code: "invalid_event" }, cause);
}

/** Takes an `Idempotency-Key` among the headers for what it is. */
function keyed(options: EmitOptions): EmitOptions {
  const headers = { ...options.headers };
  let { idempotencyKey } = options;
  for (const name of Object.keys(headers)) {
    if (name.toLowerCase() !== "idempotency-key") continue;
    idempotencyKey ??= headers[name];
    delete headers[name];
  }
  if (idempotencyKey !== undefined && !/^[\x21-\x7e]([\x20-\x7e]{0,238}[\x21-\x7e])?$/.test(idempotencyKey)) {
    throw invalid("an idempotency key has 1 to 240 characters of printable ASCII");
  }
  return { ...options, headers, idempotencyKey };
}
