import type { Call } from '../calls/call';
import type { ServerClock } from '../calls/server-clock';
import { exchange, type Exchange, type Fetch } from './http';
import { Problem } from './problem';

/** Where access tokens come from. */
export interface Tokens {
  /** One that is good for a while yet. */
  accessToken(): Promise<string>;
  /** Another one than `rejected`, which the server did not take. */
  renewed(rejected: string): Promise<string>;
}

export interface Initiated {
  readonly call_id: string;
  readonly session_id: string;
  readonly sdp_offer: string;
  readonly status: string;
  readonly start_time: string;
}

export interface HistoryPage {
  readonly calls: readonly Call[];
  readonly next_cursor: string | null;
}

/** The calls API, signed in. Every method throws {@link Problem}. */
export class Api {
  constructor(
    private readonly tokens: Tokens,
    private readonly fetch: Fetch,
    private readonly clock: ServerClock,
  ) {}

  /** The key makes it safe to repeat: when no response came it is asked once more. */
  async initiate(number: string, key: string): Promise<Initiated> {
    const options = { body: { phone_number: number }, headers: { 'Idempotency-Key': key } };
    const ask = () => this.#ask<Initiated>('POST', '/api/v1/calls/initiate', options);
    return ask().catch((thrown: unknown) => {
      if (thrown instanceof Problem && thrown.code === 'network') return ask();
      throw thrown;
    });
  }

  answer(callId: string, sessionId: string, sdpAnswer: string): Promise<unknown> {
    return this.#ask('POST', `${callPath(callId)}/answer`, { body: { sdp_answer: sdpAnswer, session_id: sessionId } });
  }

  reject(callId: string): Promise<unknown> {
    return this.#ask('POST', `${callPath(callId)}/reject`);
  }

  terminate(callId: string): Promise<{ readonly duration: number }> {
    return this.#ask('POST', '/api/v1/calls/terminate', { body: { call_id: callId } });
  }

  call(callId: string): Promise<Call> {
    return this.#ask('GET', callPath(callId));
  }

  history(cursor: string | null): Promise<HistoryPage> {
    return this.#ask('GET', `/api/v1/calls?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
  }

  async iceServers(): Promise<RTCIceServer[]> {
    return (await this.#ask<{ ice_servers: RTCIceServer[] }>('GET', '/api/v1/ice-servers')).ice_servers;
  }

  /** Whether the server is there and takes our token; renews it when it does not. */
  async probe(): Promise<void> {
    await this.#ask('GET', '/api/v1/me');
  }

  async #ask<T>(method: string, url: string, options: Exchange = {}): Promise<T> {
    const token = await this.tokens.accessToken();
    const response = await this.#send(method, url, options, token).catch(async (thrown: unknown) => {
      if (!(thrown instanceof Problem) || thrown.status !== 401) throw thrown;
      return this.#send(method, url, options, await this.tokens.renewed(token));
    });
    this.clock.observe(response.headers.get('Date'));
    return (await response.json()) as T;
  }

  #send(method: string, url: string, options: Exchange, token: string): Promise<Response> {
    return exchange(this.fetch, method, url, {
      ...options,
      headers: { ...options.headers, Authorization: `Bearer ${token}` },
    });
  }
}

function callPath(callId: string): string {
  return `/api/v1/calls/${encodeURIComponent(callId)}`;
}
