/** Time and randomness, so that tests can turn the clock. */

/** Where a client has its time and its chance from. */
export interface Timing {
  /** Milliseconds since 1970. */
  now(): number;
  /** At least 0, less than 1. */
  random(): number;
  /** Calls `run` after that many milliseconds, unless what it gives is called first. */
  after(milliseconds: number, run: () => void): () => void;
}

/** The machine's. */
export const realTiming: Timing = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(milliseconds, run) {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Resolves after that many milliseconds, or at once when `signal` is aborted. */
export function pause(timing: Timing, milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const cancel = timing.after(milliseconds, end);
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end);
  });
}

/**
 * The wait before another attempt when the server named none: doubled each time from 200 ms to 10 s, of
 * which a random half is taken off so that clients do not come back together.
 */
export function backoff(attempt: number, random: number): number {
  const whole = Math.min(10_000, 200 * 2 ** (attempt - 1));
  return whole / 2 + (whole / 2) * random;
}
