/**
 * The server's time, for timers that count from its timestamps: a desk's clock may be minutes off.
 *
 * Whatever the server says was true when it said it, and reaches us later. So each sample is a lower bound, and the
 * highest is the best.
 */
export class ServerClock {
  #ahead: number | null = null;

  constructor(private readonly local: () => number = Date.now) {}

  /** An RFC 3339 or HTTP date that the server just sent; anything else is ignored. */
  observe(time: string | null | undefined): void {
    const sample = Date.parse(time ?? '') - this.local();
    if (!Number.isNaN(sample)) this.#ahead = Math.max(this.#ahead ?? sample, sample);
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return this.local() + (this.#ahead ?? 0);
  }
}
