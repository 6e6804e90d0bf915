/** What can go wrong, as one class. */

/** What an error of this client knows. */
export interface ErrorDetails {
  /** The HTTP status; absent when there was no answer. */
  status?: number;
  /** A stable word in snake_case: the server's, or one of this client's. */
  code: string;
  /** The request's id, which the server's log has too. */
  requestId?: string;
  /** The answer's body: JSON, else text, else null. */
  data?: unknown;
  /** How long the server asked to wait, in milliseconds. */
  retryAfter?: number;
}

/**
 * A call that failed for good: what could be tried again was.
 *
 * `code` is the server's (`invalid_request`, `rate_limited`, …) or one of this client's:
 * `network_error`, `timeout`, `aborted`, `redirected`, `unreadable_answer`, `http_STATUS` for an answer that is not
 * Heddle's, and for calls that were not made `invalid_event`, `payload_too_large`, `queue_full`, `closed`, `unexpected`.
 */
export class HeddleError extends Error implements ErrorDetails {
  override readonly name = "HeddleError";
  readonly status?: number;
  readonly code: string;
  readonly requestId?: string;
  readonly data: unknown;
  readonly retryAfter?: number;
  /** How often the request was sent. */
  attempts = 0;
  /**
   * Of a batch: what the server answered before this error, for the first events of the batch. What became of
   * the next up to 100 is unknown when there was no answer; those after them were not sent.
   */
  partial?: unknown;

  constructor(message: string, details: ErrorDetails, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = details.status;
    this.code = details.code;
    this.requestId = details.requestId;
    this.data = details.data ?? null;
    this.retryAfter = details.retryAfter;
  }

  /** For logs: everything but the stack and the cause. */
  toJSON(): Record<string, unknown> {
    const { name, message, status, code, requestId, data, attempts } = this;
    return { name, message, status, code, requestId, data, attempts };
  }
}

/** The error that an answer stands for. */
export function errorOf(response: Response, data: unknown, now: number): HeddleError {
  const body = isObject(data) ? data : {};
  const inner = isObject(body.error) ? body.error : {};
  const said = text(inner.message) ?? text(body.message) ?? text(response.statusText) ?? "no explanation";
  const code = text(body.code) ?? `http_${response.status}`;
  return new HeddleError(`${response.status} ${code}: ${said}`, {
    status: response.status,
    code,
    requestId: text(body.request_id) ?? response.headers.get("x-request-id") ?? undefined,
    data,
    retryAfter: retryAfter(response.headers.get("retry-after"), now),
  });
}

/** `Retry-After` in milliseconds from now: it is in seconds, or a date. */
export function retryAfter(value: string | null, now: number): number | undefined {
  const given = value?.trim() ?? "";
  if (/^\d{1,9}$/.test(given)) return Number(given) * 1000;
  const date = Date.parse(given);
  return /[a-z]/i.test(given) && !Number.isNaN(date) ? Math.max(0, date - now) : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
