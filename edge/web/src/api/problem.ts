/** Why a request did not do what was asked: the server's `{error, message}`, or what kept us from reaching it. */
export class Problem extends Error {
  override readonly name = 'Problem';

  constructor(
    /** HTTP status; 0 when no response came. */
    readonly status: number,
    /** The server's `error`, or `network`. */
    readonly code: string,
    message: string,
    /** Seconds, from Retry-After. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  /** No response in time, or none at all. */
  static network(cause: unknown): Problem {
    return new Problem(0, 'network', cause instanceof Error ? cause.message : String(cause));
  }

  /** Whatever was thrown, as a problem. */
  static of(thrown: unknown): Problem {
    return thrown instanceof Problem
      ? thrown
      : new Problem(0, 'failed', thrown instanceof Error ? thrown.message : String(thrown));
  }

  static async read(response: Response): Promise<Problem> {
    const body = (await response.json().catch(() => ({}))) as { error?: unknown; message?: unknown };
    const code = typeof body.error === 'string' ? body.error : `http_${response.status}`;
    const message = typeof body.message === 'string' ? body.message : response.statusText;
    const seconds = Number.parseInt(response.headers.get('Retry-After') ?? '', 10);
    return new Problem(response.status, code, message, Number.isNaN(seconds) ? null : seconds);
  }
}
