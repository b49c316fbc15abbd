import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoff } from './backoff';
import { Events, type Connection, type Ears } from './events';
import { parseFrame, type Frame } from './frame';

interface Opened extends Ears {
  token: string;
  cursor: string | null;
  closed: boolean;
}

let sockets: Opened[];
let states: Connection[];
let frames: Frame[];
let reachable: boolean;
let token: number;
let events: Events;

beforeEach(() => {
  vi.useFakeTimers();
  [sockets, states, frames, reachable, token] = [[], [], [], true, 1];
  const reach = async <T>(value: () => T) => {
    if (!reachable) throw new Error('no route');
    return value();
  };
  events = new Events({
    open: (token, cursor, ears) => {
      const socket = { ...ears, token, cursor, closed: false };
      sockets.push(socket);
      return { close: () => void (socket.closed = true) };
    },
    accessToken: () => reach(() => `a${token}`),
    renewed: () => reach(() => `a${(token += 1)}`),
    tokenLife: () => 840_000,
    probe: () => reach(() => undefined),
    frame: (frame) => frames.push(frame),
    connection: (state) => states.push(state),
    random: () => 1,
  });
});
afterEach(() => {
  events.stop();
  vi.useRealTimers();
});

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const snapshot = (cursor: string) => JSON.stringify({ type: 'snapshot', cursor, calls: [] });
const last = () => sockets.at(-1) as Opened;

async function online(): Promise<void> {
  events.start();
  await settle();
  last().message(snapshot('7'));
}

describe('the events socket', () => {
  it('is online with the first frame, not before', async () => {
    events.start();
    await settle();
    expect(states).toEqual(['connecting']);
    last().message(snapshot('7'));
    expect(states).toEqual(['connecting', 'online']);
    expect(frames).toHaveLength(1);
  });

  it('comes back with the last cursor after a break', async () => {
    await online();
    last().message(JSON.stringify({ type: 'call.ended', cursor: '9', time: '', call: { call_id: 'call_1' } }));
    last().close(1006);
    expect(states.at(-1)).toBe('offline');
    await settle(500);
    expect(sockets).toHaveLength(2);
    expect(last().cursor).toBe('9');
  });

  it('waits longer after each failure, and no longer than ten seconds', async () => {
    reachable = false;
    events.start();
    await settle(60_000);
    expect(sockets).toHaveLength(0);
    reachable = true;
    await settle(10_000);
    expect(sockets).toHaveLength(1);
  });

  it('renews an expired token at once', async () => {
    await online();
    last().close(4001);
    await settle();
    expect(sockets).toHaveLength(2);
    expect(last().token).toBe('a2');
    expect(states.at(-1)).toBe('connecting');
  });

  it('does not spin when the server finds every token expired', async () => {
    await online();
    for (let n = 0; n < 5; n += 1) {
      last().close(4001);
      await settle();
    }
    expect(sockets).toHaveLength(2);
  });

  it('is replaced before its token expires, without a gap', async () => {
    await online();
    await settle(840_000);
    expect(sockets).toHaveLength(2);
    expect(sockets[0]?.closed).toBe(false);
    last().message(JSON.stringify({ type: 'resumed', cursor: '8' }));
    expect(sockets[0]?.closed).toBe(true);
    sockets[0]?.message(snapshot('3'));
    expect(frames.map((frame) => frame.cursor)).toEqual(['7', '8']);
    expect(states).toEqual(['connecting', 'online', 'online']);
  });

  it('keeps the old one when its replacement fails', async () => {
    await online();
    events.refresh();
    await settle();
    last().close(1006);
    sockets[0]?.message(snapshot('8'));
    expect(frames).toHaveLength(2);
    expect(states.at(-1)).toBe('online');
  });

  it('gives a socket up that says nothing', async () => {
    events.start();
    await settle(10_000);
    expect(last().closed).toBe(true);
    expect(states.at(-1)).toBe('offline');
  });

  it('does nothing more once it is stopped', async () => {
    await online();
    events.stop();
    last().message(snapshot('8'));
    last().close(1006);
    await settle(60_000);
    expect(sockets).toHaveLength(1);
    expect(frames).toHaveLength(1);
  });
});

it.each([
  [1, 0, 250],
  [1, 1, 500],
  [2, 1, 1000],
  [6, 1, 10_000],
  [1000, 1, 10_000],
])('after %d failures with luck %d it waits %d ms', (failures, random, ms) => {
  expect(backoff(failures, random)).toBe(ms);
});

it.each([
  ['{'],
  ['null'],
  ['[]'],
  ['{"type":"snapshot","cursor":"1"}'],
  ['{"type":"call.ended","cursor":"1"}'],
  ['{"type":"new","cursor":"1"}'],
])('%s is no frame of ours', (text) => {
  expect(parseFrame(text)).toBeNull();
});
