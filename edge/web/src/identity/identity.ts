import type { Tokens } from '../api/client';
import { exchange, type Fetch } from '../api/http';
import { Problem } from '../api/problem';
import { Observable } from '../observable';
import type { RefreshStore, User } from './refresh-store';

/** A token is replaced this long before it expires, or at four fifths of its life when that is later. */
const MARGIN_MS = 60_000;

/** Runs one task at a time among all tabs of this origin. */
export type Exclusively = <T>(task: () => Promise<T>) => Promise<T>;

interface Grant {
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token: string;
  readonly user: User;
}

/**
 * Who is signed in here, and the tokens that prove it.
 *
 * # Invariants
 * * A refresh token is read, used and replaced inside one lock that all tabs share: none is ever used twice.
 * * Only the server's refusal signs out. When it cannot be reached the user stays, and the next request tries again.
 */
export class Identity implements Tokens {
  #access: { token: string; goodUntil: number } | null = null;
  #renewal: Promise<string> | null = null;
  /** `null` when nobody is signed in. */
  readonly user: Observable<User | null>;

  constructor(
    private readonly store: RefreshStore,
    private readonly fetch: Fetch,
    private readonly exclusively: Exclusively,
    private readonly now: () => number = Date.now,
  ) {
    this.user = new Observable(store.read()?.user ?? null);
  }

  /** @throws Problem `invalid_credentials`, `rate_limited`, `network` … */
  async signIn(username: string, password: string): Promise<void> {
    const response = await exchange(this.fetch, 'POST', '/api/v1/auth/login', { body: { username, password } });
    const grant = (await response.json()) as Grant;
    await this.exclusively(async () => this.#take(grant));
  }

  /** Of all tabs. Takes effect here at once; the server is told as well as can be. */
  async signOut(): Promise<void> {
    await this.exclusively(async () => {
      const kept = this.store.read();
      this.#forget();
      if (!kept) return;
      const body = { refresh_token: kept.refresh_token };
      await exchange(this.fetch, 'POST', '/api/v1/auth/logout', { body }).catch(() => undefined);
    });
  }

  /** Another tab signed in or out: call it when storage changed. */
  followStore(): void {
    const user = this.store.read()?.user ?? null;
    if (user?.user_id === this.user.get()?.user_id) return;
    this.#access = null;
    this.user.set(user);
  }

  /** Milliseconds until the access token should be replaced; 0 without one. */
  life(): number {
    return this.#access ? Math.max(0, this.#access.goodUntil - this.now()) : 0;
  }

  async accessToken(): Promise<string> {
    return this.#access && this.life() > 0 ? this.#access.token : this.#renew();
  }

  async renewed(rejected: string): Promise<string> {
    if (this.#access?.token === rejected) this.#access = null;
    return this.accessToken();
  }

  #renew(): Promise<string> {
    this.#renewal ??= this.exclusively(() => this.#refresh()).finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  async #refresh(): Promise<string> {
    const kept = this.store.read();
    if (!kept || kept.user.user_id !== this.user.get()?.user_id) {
      this.followStore();
      throw new Problem(401, 'signed_out', 'signed out');
    }
    try {
      const body = { refresh_token: kept.refresh_token };
      const response = await exchange(this.fetch, 'POST', '/api/v1/auth/refresh', { body });
      return this.#take((await response.json()) as Grant);
    } catch (thrown) {
      if (thrown instanceof Problem && thrown.status === 401) this.#forget();
      throw thrown;
    }
  }

  #take(grant: Grant): string {
    const life = grant.expires_in * 1000;
    this.#access = { token: grant.access_token, goodUntil: this.now() + life - Math.min(MARGIN_MS, life / 5) };
    this.store.write({ refresh_token: grant.refresh_token, user: grant.user });
    this.user.set(grant.user);
    return grant.access_token;
  }

  #forget(): void {
    this.#access = null;
    this.store.write(null);
    this.user.set(null);
  }
}

/** With `navigator.locks`, which every browser has where pages are served securely; else one tab is all there is. */
export function locked(locks: LockManager | undefined): Exclusively {
  return (task) => (locks ? (locks.request('tandem.identity', task) as ReturnType<typeof task>) : task());
}
