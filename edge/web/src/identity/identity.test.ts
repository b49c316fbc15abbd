import { beforeEach, describe, expect, it } from 'vitest';
import { Problem } from '../api/problem';
import { Identity, type Exclusively } from './identity';
import { RefreshStore } from './refresh-store';

const alice = { user_id: 'user_a', name: 'alice', extension: '1001' };

/** A server that takes each refresh token once, and a storage and a lock that all tabs share. */
class World {
  now = 0;
  life = 900;
  down = false;
  requests: string[] = [];
  #issued = 1;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #kept = new Map<string, string>();
  readonly store = new RefreshStore({
    getItem: (key: string) => this.#kept.get(key) ?? null,
    setItem: (key: string, value: string) => void this.#kept.set(key, value),
    removeItem: (key: string) => void this.#kept.delete(key),
  } as Storage);

  tab(): Identity {
    const exclusively: Exclusively = (task) => {
      const turn = this.#queue.then(task);
      this.#queue = turn.catch(() => undefined);
      return turn;
    };
    return new Identity(
      this.store,
      (url, init) => this.#serve(url, init),
      exclusively,
      () => this.now,
    );
  }

  async #serve(url: string, init: RequestInit): Promise<Response> {
    await Promise.resolve();
    if (this.down) throw new TypeError('no route');
    const body = JSON.parse(String(init.body)) as { refresh_token?: string; password?: string };
    this.requests.push(url.replace('/api/v1/auth/', ''));
    if (url.endsWith('/logout')) return new Response(null, { status: 204 });
    const refused = url.endsWith('/login') ? body.password !== 'right' : body.refresh_token !== `r${this.#issued}`;
    if (refused) {
      this.#issued += 1; // using an old token again revokes the session
      return Response.json({ error: 'invalid', message: '' }, { status: 401 });
    }
    this.#issued += 1;
    const tokens = { access_token: `a${this.#issued}`, refresh_token: `r${this.#issued}` };
    return Response.json({ ...tokens, expires_in: this.life, user: alice });
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});

describe('signing in', () => {
  it('gives a token that is used until shortly before it expires', async () => {
    const tab = world.tab();
    await tab.signIn('alice', 'right');
    expect(tab.user.get()).toEqual(alice);
    world.now = 839_000;
    expect(await tab.accessToken()).toBe('a2');
    world.now = 841_000;
    expect(await tab.accessToken()).toBe('a3');
    expect(world.requests).toEqual(['login', 'refresh']);
  });

  it('with a wrong password signs nobody in', async () => {
    const tab = world.tab();
    await expect(tab.signIn('alice', 'wrong')).rejects.toMatchObject({ status: 401 });
    expect(tab.user.get()).toBeNull();
  });

  it('survives a reload without keeping the access token', async () => {
    await world.tab().signIn('alice', 'right');
    const reloaded = world.tab();
    expect(reloaded.user.get()).toEqual(alice);
    expect(reloaded.life()).toBe(0);
    expect(await reloaded.accessToken()).toBe('a3');
  });
});

describe('several tabs', () => {
  it('never use a refresh token twice, however they renew at once', async () => {
    const first = world.tab();
    await first.signIn('alice', 'right');
    const tabs = [first, world.tab(), world.tab()];
    world.now = 10_000_000;
    await Promise.all(tabs.flatMap((tab) => [tab.accessToken(), tab.accessToken()]));
    expect(tabs.map((tab) => tab.user.get())).toEqual([alice, alice, alice]);
    expect(world.requests).toEqual(['login', 'refresh', 'refresh', 'refresh']);
  });

  it('are all signed out by one', async () => {
    const [first, second] = [world.tab(), world.tab()];
    await first.signIn('alice', 'right');
    second.followStore();
    expect(second.user.get()).toEqual(alice);
    await first.signOut();
    second.followStore();
    expect(second.user.get()).toBeNull();
    expect(world.requests).toEqual(['login', 'logout']);
  });
});

describe('renewing', () => {
  it('that the server refuses signs out', async () => {
    await world.tab().signIn('alice', 'right');
    world.store.write({ refresh_token: 'stolen and used', user: alice });
    const tab = world.tab();
    await expect(tab.accessToken()).rejects.toBeInstanceOf(Problem);
    expect(tab.user.get()).toBeNull();
    expect(world.store.read()).toBeNull();
  });

  it('that does not reach the server keeps the user', async () => {
    await world.tab().signIn('alice', 'right');
    const tab = world.tab();
    world.down = true;
    await expect(tab.accessToken()).rejects.toMatchObject({ code: 'network' });
    expect(tab.user.get()).toEqual(alice);
    world.down = false;
    expect(await tab.accessToken()).toBe('a3');
  });

  it('after a refusal asks for another token once, not for each that waits', async () => {
    const tab = world.tab();
    await tab.signIn('alice', 'right');
    expect(await Promise.all([tab.renewed('a2'), tab.renewed('a2')])).toEqual(['a3', 'a3']);
    expect(await tab.renewed('a2')).toBe('a3');
  });
});
