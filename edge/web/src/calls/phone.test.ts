import { expect, it, vi } from 'vitest';
import { Problem } from '../api/problem';
import type { AudioReport } from '../media/call-audio';
import type { Call } from './call';
import { HeldStore } from './held-store';
import { Phone } from './phone';
import { ServerClock } from './server-clock';

const NOON = '2026-01-01T12:00:00.000Z';

/** A phone between a server and devices that only take notes. */
function world() {
  const notes: string[] = [];
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  } as unknown as Storage;
  const note = async <T>(text: string, value: T) => {
    notes.push(text);
    await Promise.resolve();
    notes.push(`${text} done`);
    return value;
  };
  const initiated = {
    call_id: 'call_1',
    session_id: 'leg_1',
    sdp_offer: 'v=0',
    status: 'connecting',
    start_time: NOON,
  };
  const api = {
    initiate: (number: string) => note(`initiate ${number}`, initiated),
    answer: (callId: string, _: string, sdp: string) => note(`answer ${callId} ${sdp}`, {}),
    reject: (callId: string) => note(`reject ${callId}`, {}),
    terminate: (callId: string) => note(`terminate ${callId}`, { duration: 0 }),
    call: (callId: string) => Promise.reject(new Problem(404, 'call_not_found', callId)),
    iceServers: () => Promise.resolve([]),
  };
  const reports: ((news: AudioReport) => void)[] = [];
  const open = (_: unknown, report: (news: AudioReport) => void) => {
    reports.push(report);
    const turn = reports.length;
    return {
      answer: async () => `sdp ${turn}`,
      setMuted: (on: boolean) => void notes.push(`muted ${on}`),
      sendDigit: () => false,
      close: () => void notes.push(`closed ${turn}`),
    };
  };
  const phone = new Phone(api, open, new HeldStore(storage, true), new ServerClock());
  return { phone, notes, reports, kept };
}

const incoming: Call = {
  call_id: 'call_2',
  session_id: 'leg_2',
  direction: 'incoming',
  status: 'connecting',
  state: 'ringing',
  peer: { number: '1002' },
  start_time: NOON,
  duration: 0,
  sdp_offer: 'v=0',
};

it('asks for the microphone within the click, before anything is awaited', () => {
  const { phone, reports } = world();
  phone.send({ type: 'Dial', number: '1002', key: 'k' });
  expect(reports).toHaveLength(1);
});

it('has the first call ended at the server before it answers the second', async () => {
  const { phone, notes, reports } = world();
  phone.send({ type: 'Dial', number: '1002', key: 'k' });
  reports[0]?.({ type: 'MicrophoneOpened' });
  await vi.waitFor(() => expect(notes).toContain('answer call_1 sdp 1 done'));
  phone.send({ type: 'CallChanged', call: incoming });
  phone.send({ type: 'Accept', callId: 'call_2' });
  reports[1]?.({ type: 'MicrophoneOpened' });
  await vi.waitFor(() => expect(notes).toContain('answer call_2 sdp 2 done'));
  expect(notes.slice(-5)).toEqual([
    'closed 1',
    'terminate call_1',
    'terminate call_1 done',
    'answer call_2 sdp 2',
    'answer call_2 sdp 2 done',
  ]);
});

it('remembers over a reload which call had its audio here', async () => {
  const { phone, kept } = world();
  phone.send({ type: 'Dial', number: '1002', key: 'k' });
  await vi.waitFor(() => expect(phone.state.get().line.phase).toBe('bound'));
  expect([...kept.values()]).toEqual(['call_1']);
  phone.send({ type: 'CallChanged', call: { ...incoming, call_id: 'call_1', state: 'ended' } });
  expect([...kept.values()]).toEqual(['']);
});

it('says that a call cannot carry digits', async () => {
  const { phone } = world();
  phone.send({ type: 'Dial', number: '1002', key: 'k' });
  await vi.waitFor(() => expect(phone.state.get().line.phase).toBe('bound'));
  const talking: Call = { ...incoming, call_id: 'call_1', direction: 'outgoing', state: 'talking', answer_time: NOON };
  phone.send({ type: 'CallChanged', call: talking });
  phone.send({ type: 'Press', digit: '5' });
  expect(phone.state.get().line).toMatchObject({ digitsRefused: true, digits: '' });
});
