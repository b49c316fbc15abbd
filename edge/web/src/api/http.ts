import { Problem } from './problem';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Longest wait for a response. Below the 15 s in which a call must get its answer. */
const DEADLINE_MS = 10_000;

/**
 * One exchange of JSON.
 *
 * @throws Problem for a status outside 200..=299 and when no response came.
 */
export async function exchange(fetch: Fetch, method: string, url: string, options: Exchange = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  const init: RequestInit = { method, headers, cache: 'no-store', signal: AbortSignal.timeout(DEADLINE_MS) };
  if (options.body !== undefined) {
    headers.set('Content-Type', 'application/json');
    init.body = JSON.stringify(options.body);
  }
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw Problem.network(cause);
  });
  if (!response.ok) throw await Problem.read(response);
  return response;
}

export interface Exchange {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}
