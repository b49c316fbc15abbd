/** Who is signed in, in the contract's words. */
export interface User {
  readonly user_id: string;
  readonly name: string;
  readonly extension: string;
  readonly display_name?: string | null;
}

/** What survives a reload. The access token is not in it: it lives in memory only. */
export interface Remembered {
  readonly refresh_token: string;
  readonly user: User;
}

const KEY = 'tandem.identity';

/**
 * The refresh token in localStorage, one for all tabs.
 *
 * Not in sessionStorage: a duplicated tab starts with a *copy* of that, and the second to use the same rotating token
 * would revoke the session of both. One shared token under a Web Lock (identity.ts) has no second holder, a new tab is
 * signed in at once, and signing out means all tabs. Against a script injected into the page neither place protects;
 * the content security policy has to.
 */
export class RefreshStore {
  constructor(private readonly storage: Storage) {}

  read(): Remembered | null {
    try {
      const kept = JSON.parse(this.storage.getItem(KEY) ?? 'null') as Remembered | null;
      return kept?.refresh_token && kept.user?.user_id ? kept : null;
    } catch {
      return null;
    }
  }

  write(remembered: Remembered | null): void {
    if (remembered) this.storage.setItem(KEY, JSON.stringify(remembered));
    else this.storage.removeItem(KEY);
  }
}
