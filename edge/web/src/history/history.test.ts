import { expect, it } from 'vitest';
import type { Call } from '../calls/call';
import { appended, EMPTY, refreshed, wasMissed, withEnded } from './history';

function ended(n: number, change: Partial<Call> = {}): Call {
  return {
    call_id: `call_${n}`,
    session_id: 'leg',
    direction: 'incoming',
    status: 'completed',
    state: 'ended',
    peer: { number: '1' },
    start_time: new Date(n * 1000).toISOString(),
    duration: 0,
    ...change,
  };
}

const ids = (calls: readonly Call[]) => calls.map((call) => call.call_id);

it('pages follow each other, the latest call first, each once', () => {
  const first = appended(EMPTY, { calls: [ended(5), ended(4)], next_cursor: 'c' });
  const both = appended(first, { calls: [ended(4), ended(3)], next_cursor: null });
  expect(ids(both.calls)).toEqual(['call_5', 'call_4', 'call_3']);
  expect(both.cursor).toBeNull();
});

it('a call that just ended comes to the top, one that lives does not', () => {
  const one = appended(EMPTY, { calls: [ended(1)], next_cursor: null });
  expect(ids(withEnded(one, ended(2)).calls)).toEqual(['call_2', 'call_1']);
  expect(withEnded(one, ended(3, { state: 'talking' }))).toBe(one);
});

it('the first page again keeps the pages behind it and their cursor', () => {
  const known = { calls: [ended(3), ended(2), ended(1)], cursor: 'behind 1', phase: 'ready' } as const;
  const next = refreshed(known, { calls: [ended(4), ended(3)], next_cursor: 'behind 3' });
  expect(ids(next.calls)).toEqual(['call_4', 'call_3', 'call_2', 'call_1']);
  expect(next.cursor).toBe('behind 1');
});

it('the first page again starts over when calls are missing in between', () => {
  const known = { calls: [ended(1)], cursor: null, phase: 'ready' } as const;
  const next = refreshed(known, { calls: [ended(9), ended(8)], next_cursor: 'behind 8' });
  expect(ids(next.calls)).toEqual(['call_9', 'call_8']);
  expect(next.cursor).toBe('behind 8');
});

it.each([
  ['cancelled', true],
  ['no_answer', true],
  ['declined', false],
  ['answered_elsewhere', false],
])('an incoming call that ended %s was missed: %s', (cause, missed) => {
  expect(wasMissed(ended(1, { cause }))).toBe(missed);
  expect(wasMissed(ended(1, { cause, direction: 'outgoing' }))).toBe(false);
});
