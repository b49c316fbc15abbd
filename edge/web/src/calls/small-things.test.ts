import { describe, expect, it } from 'vitest';
import { clockText } from './duration';
import { dialable } from './number';
import { ServerClock } from './server-clock';

it.each([
  [' +49 (30) 123-45/67 ', '+49301234567'],
  ['1002', '1002'],
  ['+7\u00a0495 123\u201345\u201367', '+74951234567'],
  ['sip:bob.smith-1@example.org', 'sip:bob.smith-1@example.org'],
  ['bob.smith@example.org', 'bob.smith@example.org'],
  [' - ', ''],
])('what was typed as %j is dialled as %j', (typed, dialled) => {
  expect(dialable(typed)).toBe(dialled);
});

it.each([
  [0, '0:00'],
  [59.9, '0:59'],
  [61, '1:01'],
  [3600, '1:00:00'],
  [-5, '0:00'],
])('%d seconds read %s', (seconds, text) => {
  expect(clockText(seconds)).toBe(text);
});

describe('the server clock', () => {
  it('is the local one until the server says a time', () => {
    expect(new ServerClock(() => 1000).now()).toBe(1000);
  });

  it('follows the sample that was the least delayed, and ignores what is no time', () => {
    const clock = new ServerClock(() => 0);
    for (const time of ['1970-01-01T00:00:05Z', '1970-01-01T00:00:07Z', '1970-01-01T00:00:03Z', 'soon', null])
      clock.observe(time);
    expect(clock.now()).toBe(7000);
  });

  it('corrects a local clock that is ahead', () => {
    const clock = new ServerClock(() => 60_000);
    clock.observe('1970-01-01T00:00:10Z');
    expect(clock.now()).toBe(10_000);
  });
});
