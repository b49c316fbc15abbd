import { Api } from './api/client';
import { isOver } from './calls/call';
import { HeldStore, wasReloaded } from './calls/held-store';
import { Phone } from './calls/phone';
import { ServerClock } from './calls/server-clock';
import { Events, type Connection, type Ears, type Socket } from './events/events';
import type { Frame } from './events/frame';
import { HistoryList } from './history/history-list';
import type { Identity } from './identity/identity';
import { CallAudio } from './media/call-audio';
import { Observable } from './observable';

/** Hidden for longer than this, a page may have slept and its socket be dead without a word. */
const SLEPT_MS = 30_000;

/** Everything that one signed-in user works with, wired together. */
export class Desk {
  readonly clock = new ServerClock();
  readonly connection = new Observable<Connection>('connecting');
  readonly phone: Phone;
  readonly history: HistoryList;
  readonly #events: Events;
  readonly #left = new AbortController();

  constructor(identity: Identity) {
    const api = new Api(identity, (url, init) => fetch(url, init), this.clock);
    const held = new HeldStore(sessionStorage, wasReloaded());
    this.phone = new Phone(api, (iceServers, report) => new CallAudio(iceServers, report), held, this.clock);
    this.history = new HistoryList(api);
    this.#events = new Events({
      open: openSocket,
      accessToken: () => identity.accessToken(),
      renewed: (rejected) => identity.renewed(rejected),
      tokenLife: () => identity.life(),
      probe: () => api.probe(),
      frame: (frame) => this.#received(frame),
      connection: (state) => this.connection.set(state),
      random: Math.random,
    });
  }

  start(): void {
    const { signal } = this.#left;
    this.#events.start();
    addEventListener('online', () => this.#events.refresh(), { signal });
    addEventListener('beforeunload', (event) => this.#warn(event), { signal });
    let hiddenSince = Date.now();
    const visibility = () => {
      if (document.hidden) hiddenSince = Date.now();
      else if (Date.now() - hiddenSince > SLEPT_MS) this.#events.refresh();
    };
    document.addEventListener('visibilitychange', visibility, { signal });
  }

  stop(): void {
    this.#left.abort();
    this.#events.stop();
    this.phone.close();
  }

  #received(frame: Frame): void {
    this.phone.received(frame);
    if ('calls' in frame) void this.history.refresh();
    else if ('call' in frame && isOver(frame.call)) this.history.ended(frame.call);
  }

  /** A reload would cost the call its audio. */
  #warn(event: BeforeUnloadEvent): void {
    if (this.phone.state.get().line.phase === 'bound') event.preventDefault();
  }
}

function openSocket(token: string, cursor: string | null, ears: Ears): Socket {
  const socket = new WebSocket(eventsUrl(token, cursor));
  socket.onmessage = ({ data }) => ears.message(data);
  socket.onclose = ({ code }) => ears.close(code);
  return socket;
}

function eventsUrl(token: string, cursor: string | null): string {
  const url = new URL('/api/v1/events', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  url.searchParams.set('access_token', token);
  if (cursor) url.searchParams.set('cursor', cursor);
  return url.href;
}
