/** One call: sent, timed, repeated where that is safe, and read. */

import type { Credential } from "./credentials.js";
import { HeddleError, errorOf } from "./errors.js";
import { type Timing, backoff, pause, realTiming } from "./timing.js";

/** What every client is made with. */
export interface ClientOptions {
  /** Where Heddle is: `https://heddle.example.com`, with or without `/api/v1` after it. */
  apiBaseUrl: string;
  /** How long one attempt may take, in milliseconds: 1,000 to 30,000; 5,000 when absent. */
  timeout?: number;
  /** How often a call is repeated after its first attempt: 0 to 10; 4 when absent. */
  retries?: number;
  /** A server that asks for a longer wait than this is not asked again, in milliseconds; 30,000 when absent. */
  maxRetryWait?: number;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** Used instead of the global `fetch`. */
  fetch?: typeof fetch;
  /** Used instead of the machine's clock; for tests. */
  timing?: Timing;
}

/** What a single call may say. */
export interface RequestOptions {
  /** Instead of the client's. */
  timeout?: number;
  /** Beside the client's. */
  headers?: Record<string, string>;
  /** Ends the call, and the waiting for another attempt, with an error of the code `aborted`. */
  signal?: AbortSignal;
}

/** A request before it is sent. */
export interface Outgoing {
  method: string;
  /** Below `/api/v1`. */
  path: string;
  /** JSON. */
  body?: string;
  headers?: Record<string, string>;
  /** Whether a second one after an unknown outcome does no harm. */
  repeatable: boolean;
  /** Whether the browser finishes it after its page is gone. */
  keepalive?: boolean;
}

/** What only this client sets. */
const OWN_HEADERS = new Set([
  "accept",
  "authorization",
  "content-type",
  "idempotency-key",
  "x-heddle-publishable-key",
  "x-meshes-client",
  "x-meshes-publishable-key",
]);

/** Answers after which the same request may find the server well again. */
const PASSING = new Set([408, 500, 502, 503, 504]);

export class Transport {
  readonly timing: Timing;
  readonly #base: string;
  readonly #credential: Credential;
  readonly #timeout: number;
  readonly #retries: number;
  readonly #maxRetryWait: number;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(credential: Credential, options: ClientOptions) {
    this.#credential = credential;
    this.#base = baseOf(options.apiBaseUrl);
    this.#timeout = within("timeout", options.timeout ?? 5_000, 1_000, 30_000);
    this.#retries = within("retries", options.retries ?? 4, 0, 10);
    this.#maxRetryWait = within("maxRetryWait", options.maxRetryWait ?? 30_000, 0, 3_600_000);
    this.#headers = allowed(options.headers);
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.timing = options.timing ?? realTiming;
  }

  /** Gives the answer's JSON, or throws a `HeddleError`. */
  async send(outgoing: Outgoing, options: RequestOptions = {}): Promise<unknown> {
    const timeout = within("timeout", options.timeout ?? this.#timeout, 1_000, 30_000);
    const headers = { ...this.#headers, ...allowed(options.headers), ...outgoing.headers, accept: "application/json" };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(outgoing, headers, timeout, options.signal);
      } catch (error) {
        if (!(error instanceof HeddleError)) throw error;
        error.attempts = attempt;
        const wait = attempt <= this.#retries ? this.#waitAfter(error, attempt, outgoing.repeatable) : undefined;
        if (wait === undefined) throw error;
        await pause(this.timing, wait, options.signal);
      }
    }
  }

  async #once(
    outgoing: Outgoing,
    headers: Record<string, string>,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (signal?.aborted) throw new HeddleError("The call was aborted", { code: "aborted" }, signal.reason);
    const { method, path, body } = outgoing;
    const proof = await this.#credential();
    const controller = new AbortController();
    const abort = () => controller.abort();
    let late = false;
    const cancel = this.timing.after(timeout, () => {
      late = true;
      abort();
    });
    signal?.addEventListener("abort", abort);
    try {
      const response = await this.#fetch(`${this.#base}${path}`, {
        method,
        headers: { ...headers, ...proof, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        body,
        // A redirect would carry the key to wherever it points.
        redirect: "manual",
        signal: controller.signal,
        ...(outgoing.keepalive ? { keepalive: true } : {}),
      });
      const data = parsed(await response.text());
      if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
        throw new HeddleError("The server redirects; give its own address as apiBaseUrl", {
          status: response.status || undefined,
          code: "redirected",
        });
      }
      if (!response.ok) throw errorOf(response, data, this.timing.now());
      if ((typeof data !== "object" || data === null) && response.status !== 204) {
        throw new HeddleError("The answer is no JSON; is apiBaseUrl Heddle's?", {
          status: response.status,
          code: "unreadable_answer",
          data,
        });
      }
      return data;
    } catch (error) {
      if (error instanceof HeddleError) throw error;
      if (signal?.aborted) throw new HeddleError("The call was aborted", { code: "aborted" }, error);
      if (late) throw new HeddleError(`No answer within ${timeout} ms`, { code: "timeout" }, error);
      throw new HeddleError("The server could not be reached", { code: "network_error" }, error);
    } finally {
      cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  /** How long to wait before the next attempt; undefined when there is none. */
  #waitAfter(error: HeddleError, attempt: number, repeatable: boolean): number | undefined {
    // Both say that nothing was done.
    const refused = error.status === 429 || error.code === "unavailable";
    const passing = error.status === undefined ? error.code !== "aborted" : PASSING.has(error.status);
    if (!refused && !(repeatable && passing && error.code !== "redirected")) return undefined;
    if (error.retryAfter === undefined) return backoff(attempt, this.timing.random());
    if (error.retryAfter > this.#maxRetryWait) return undefined;
    return error.retryAfter * (1 + this.timing.random() / 10);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text === "" ? null : text;
  }
}

function baseOf(given: string): string {
  let url;
  try {
    url = new URL(given);
  } catch {
    throw new TypeError("apiBaseUrl must be a URL such as https://heddle.example.com");
  }
  if (!/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new TypeError("apiBaseUrl must be http or https, without user, query or fragment");
  }
  const path = url.pathname.replace(/\/+$/, "").replace(/\/api(\/v1)?$/, "");
  return `${url.origin}${path}/api/v1`;
}

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${name} must be a whole number from ${least} to ${most}`);
}

function allowed(headers: Record<string, string> = {}): Record<string, string> {
  const lower: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (OWN_HEADERS.has(name.toLowerCase())) throw new TypeError(`The header ${name} is set by the client`);
    lower[name.toLowerCase()] = value;
  }
  return lower;
}
