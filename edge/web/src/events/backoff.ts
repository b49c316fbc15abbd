const FIRST_MS = 500;
const LONGEST_MS = 10_000;

/**
 * How long to wait after `failures` (1…) in a row: doubling from 0.5 s to 10 s.
 *
 * Between half of it and all of it by `random` (0..1): a restarted server must not meet all its clients at once.
 */
export function backoff(failures: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10));
  return full * (0.5 + random / 2);
}
