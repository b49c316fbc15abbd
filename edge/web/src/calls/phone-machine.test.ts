import { describe, expect, it } from 'vitest';
import { Problem } from '../api/problem';
import type { Call } from './call';
import type { Effect, Input } from './phone-input';
import { step } from './phone-machine';
import { callsElsewhere, freshPhone, heldCalls, incomingCalls, type Phone } from './phone-state';

const NOON = '2026-01-01T12:00:00.000Z';

function call(change: Partial<Call> = {}): Call {
  return {
    call_id: 'call_1',
    session_id: 'leg_1',
    direction: 'outgoing',
    status: 'connecting',
    state: 'dialling',
    peer: { number: '1002' },
    start_time: NOON,
    duration: 0,
    ...change,
  };
}

function ringing(change: Partial<Call> = {}): Call {
  return call({ direction: 'incoming', state: 'ringing', sdp_offer: 'v=0', ...change });
}

function result(callId = 'call_1') {
  return { call_id: callId, session_id: 'leg_1', sdp_offer: 'v=0', status: 'connecting', start_time: NOON };
}

const dial: Input = { type: 'Dial', number: '1002', key: 'k' };
const initiated = (turn: number, callId?: string): Input => ({
  type: 'Initiated',
  turn,
  number: '1002',
  result: result(callId),
});
const told = (call: Call): Input => ({ type: 'CallChanged', call });
const problem = (status: number, code: string) => new Problem(status, code, code);

/** Runs all inputs; the effects are those of the last. */
function run(
  inputs: readonly Input[],
  from: Phone = freshPhone(),
): { phone: Phone; last: readonly Effect[]; all: Effect[] } {
  let phone = from;
  let last: readonly Effect[] = [];
  const all: Effect[] = [];
  for (const input of inputs) {
    ({ phone, effects: last } = step(phone, input));
    all.push(...last);
  }
  return { phone, last, all };
}

const names = (effects: readonly Effect[]) => effects.map((effect) => effect.type);

describe('an outgoing call', () => {
  it('asks for the microphone and for the call at once', () => {
    expect(names(run([dial]).last)).toEqual(['OpenMicrophone', 'Initiate']);
  });

  it.each([
    ['the microphone comes first', [{ type: 'MicrophoneOpened', turn: 1 }, initiated(1)]],
    ['the offer comes first', [initiated(1), { type: 'MicrophoneOpened', turn: 1 }]],
  ] as [string, Input[]][])('is answered once both are there: %s', (_, inputs) => {
    const { all, phone } = run([dial, ...inputs]);
    expect(names(all)).toEqual(['OpenMicrophone', 'Initiate', 'Answer']);
    expect(phone.line).toMatchObject({ phase: 'bound', callId: 'call_1', answer: 'sent' });
  });

  it('is one at a time', () => {
    expect(run([dial, dial]).last).toEqual([]);
    expect(run([dial, { type: 'HangUp' }, dial]).last).toEqual([]);
  });

  it('shows the cause, lets the microphone go and forgets the call when it ends', () => {
    const { phone, last } = run([dial, initiated(1), told(call({ state: 'ended', cause: 'busy' }))]);
    expect(phone.line).toMatchObject({ phase: 'ended', cause: 'busy', talked: null });
    expect(last).toEqual([{ type: 'CloseAudio', turn: 1 }]);
    expect(heldCalls(phone)).toEqual([]);
  });

  it('that ended before the server told its id is ended then', () => {
    const { phone, last } = run([dial, told(call({ state: 'ended', cause: 'busy' })), initiated(1)]);
    expect(phone.line).toMatchObject({ phase: 'ended', cause: 'busy' });
    expect(names(last)).toEqual(['CloseAudio']);
  });

  it('that was hung up before the server told its id is terminated then', () => {
    const { phone, last } = run([dial, { type: 'HangUp' }, initiated(1)]);
    expect(last).toEqual([{ type: 'Terminate', callId: 'call_1' }]);
    expect(phone.line).toMatchObject({ phase: 'ended', cause: 'cancelled' });
    expect(phone.pending).toBe(0);
  });

  it('that was refused says why and lets the microphone go', () => {
    const refused = problem(404, 'unknown_number');
    const { phone, last } = run([dial, { type: 'InitiateFailed', turn: 1, problem: refused }]);
    expect(phone.line).toMatchObject({ phase: 'ended', problem: refused, peer: { number: '1002' } });
    expect(names(last)).toEqual(['CloseAudio']);
  });

  it("is not shown as another device's while its id is on the way", () => {
    expect(callsElsewhere(run([dial, told(call())]).phone)).toEqual([]);
  });

  it('without a microphone waits for a choice: to try again or to hang up', () => {
    const stuck = run([dial, initiated(1), { type: 'MicrophoneFailed', turn: 1, trouble: 'denied' }]);
    expect(stuck.last).toEqual([]);
    expect(stuck.phone.line).toMatchObject({ phase: 'bound', microphone: 'denied' });
    expect(names(run([{ type: 'RetryMicrophone' }], stuck.phone).last)).toEqual(['OpenMicrophone']);
    expect(names(run([{ type: 'HangUp' }], stuck.phone).last)).toEqual(['CloseAudio', 'Terminate']);
  });

  it('is hung up once, however often it is asked', () => {
    const { all } = run([dial, initiated(1), { type: 'HangUp' }, { type: 'HangUp' }]);
    expect(names(all).filter((name) => name === 'Terminate')).toHaveLength(1);
  });

  it('ends with the response to terminate, also when no event comes', () => {
    const { phone } = run([
      dial,
      initiated(1),
      told(call({ state: 'talking', answer_time: NOON })),
      { type: 'HangUp' },
      { type: 'Terminated', callId: 'call_1', duration: 7.5 },
    ]);
    expect(phone.line).toMatchObject({ phase: 'ended', cause: 'normal', talked: 7.5 });
  });

  it('that could not be hung up is offered again, as one without audio', () => {
    const failed: Input = { type: 'EndFailed', callId: 'call_1', problem: problem(503, 'call_termination_failed') };
    const { phone } = run([dial, initiated(1), { type: 'HangUp' }, failed]);
    expect(phone.line.phase).toBe('idle');
    expect(phone.notice?.code).toBe('call_termination_failed');
    expect(callsElsewhere(phone).map((one) => one.call_id)).toEqual(['call_1']);
    expect(phone.lost).toEqual(['call_1']);
  });

  it('that the browser cannot answer is terminated', () => {
    const bad: Input = { type: 'AnswerFailed', turn: 1, problem: problem(400, 'invalid_sdp') };
    const { phone, last } = run([dial, initiated(1), { type: 'MicrophoneOpened', turn: 1 }, bad]);
    expect(names(last)).toEqual(['CloseAudio', 'Terminate']);
    expect(phone.line).toMatchObject({ phase: 'ended', problem: { code: 'invalid_sdp' } });
  });
});

describe('an incoming call', () => {
  const accept: Input = { type: 'Accept', callId: 'call_1' };

  it('rings until it is taken here', () => {
    const rung = run([told(ringing())]);
    expect(incomingCalls(rung.phone)).toHaveLength(1);
    const taken = run([accept, { type: 'MicrophoneOpened', turn: 1 }], rung.phone);
    expect(incomingCalls(taken.phone)).toEqual([]);
    expect(taken.last).toEqual([{ type: 'Answer', turn: 1, callId: 'call_1', sessionId: 'leg_1', offer: 'v=0' }]);
  });

  it.each([
    ['answered on another device', call({ direction: 'incoming', state: 'talking', answer_time: NOON }), 1],
    ['ended', call({ direction: 'incoming', state: 'ended', cause: 'cancelled' }), 0],
  ])('falls silent when it is %s', (_, news, elsewhere) => {
    const { phone } = run([told(ringing()), told(news)]);
    expect(incomingCalls(phone)).toEqual([]);
    expect(callsElsewhere(phone)).toHaveLength(elsewhere);
  });

  it('that was missed is told', () => {
    const { phone } = run([told(ringing()), told(ringing({ state: 'ended', cause: 'cancelled' }))]);
    expect(phone.line).toMatchObject({ phase: 'ended', direction: 'incoming', cause: 'cancelled' });
  });

  it('that was missed during a talk leaves the talk alone', () => {
    const talk = run([dial, initiated(1), told(ringing({ call_id: 'call_2' }))]).phone;
    const { phone } = run([told(ringing({ call_id: 'call_2', state: 'ended', cause: 'cancelled' }))], talk);
    expect(phone.line).toMatchObject({ phase: 'bound', callId: 'call_1' });
  });

  it('that is accepted ends the current one first', () => {
    const { last, phone } = run([
      dial,
      initiated(1),
      told(ringing({ call_id: 'call_2' })),
      { type: 'Accept', callId: 'call_2' },
    ]);
    expect(names(last)).toEqual(['CloseAudio', 'Terminate', 'OpenMicrophone']);
    expect(phone.line).toMatchObject({ phase: 'bound', callId: 'call_2', turn: 2 });
    expect(callsElsewhere(phone)).toEqual([]);
  });

  it('that is accepted twice by a nervous finger is taken once', () => {
    expect(run([told(ringing()), accept, accept]).last).toEqual([]);
  });

  it('that another tab took while we asked for the microphone is let go', () => {
    const { phone, last } = run([told(ringing()), accept, told(ringing({ state: 'talking', answer_time: NOON }))]);
    expect(phone.line).toMatchObject({ phase: 'ended', cause: 'answered_elsewhere' });
    expect(names(last)).toEqual(['CloseAudio']);
  });

  it('that another tab took before our answer came is let go, and not hung up', () => {
    const late: Input = { type: 'AnswerFailed', turn: 1, problem: problem(409, 'call_already_active') };
    const { phone, last } = run([told(ringing()), accept, { type: 'MicrophoneOpened', turn: 1 }, late]);
    expect(phone.line).toMatchObject({ phase: 'ended', cause: 'answered_elsewhere' });
    expect(names(last)).toEqual(['CloseAudio']);
  });

  it('stays ours when the news of the answer comes before the response', () => {
    const { phone } = run([
      told(ringing()),
      accept,
      { type: 'MicrophoneOpened', turn: 1 },
      told(ringing({ state: 'talking', answer_time: NOON })),
    ]);
    expect(phone.line).toMatchObject({ phase: 'bound', answer: 'sent' });
  });

  it('that is declined stops ringing here before the server says so', () => {
    const { phone, last } = run([told(ringing()), { type: 'Decline', callId: 'call_1' }]);
    expect(incomingCalls(phone)).toEqual([]);
    expect(names(last)).toEqual(['Reject']);
  });

  it('without an offer rings on another device', () => {
    const { phone } = run([told(ringing({ sdp_offer: null }))]);
    expect(incomingCalls(phone)).toEqual([]);
    expect(callsElsewhere(phone)).toHaveLength(1);
  });
});

describe('news', () => {
  it('does not wake a call that has ended', () => {
    const { phone } = run([told(ringing({ state: 'ended', cause: 'cancelled' })), told(ringing())]);
    expect(incomingCalls(phone)).toEqual([]);
  });

  it('of an earlier use of the line changes nothing', () => {
    const now = run([dial, initiated(1), told(call({ state: 'ended', cause: 'busy' })), dial]).phone;
    for (const stale of [
      { type: 'MicrophoneOpened', turn: 1 },
      { type: 'Answered', turn: 1 },
      { type: 'AudioHeard', turn: 1 },
      { type: 'AnswerFailed', turn: 1, problem: problem(409, 'call_ended') },
    ] as Input[]) {
      expect(run([stale], now).phone).toEqual(now);
    }
  });

  it('of many ended calls is not kept for ever', () => {
    const many = Array.from({ length: 100 }, (_, n) => told(call({ call_id: `call_${n}`, state: 'ended' })));
    expect(Object.keys(run(many).phone.calls)).toHaveLength(16);
  });
});

describe('a snapshot', () => {
  it('shows after a reload the call whose audio was lost, and only as long as it lives', () => {
    const talking = call({ state: 'talking', answer_time: NOON });
    const back = run([{ type: 'SnapshotReceived', calls: [talking] }], freshPhone(['call_1', 'call_0'])).phone;
    expect(callsElsewhere(back)).toEqual([talking]);
    expect(back.lost).toEqual(['call_1']);
    expect(run([told({ ...talking, state: 'ended' })], back).phone.lost).toEqual([]);
  });

  it('silences what rang before it and is not in it', () => {
    expect(incomingCalls(run([told(ringing()), { type: 'SnapshotReceived', calls: [] }]).phone)).toEqual([]);
  });

  it('without the call on the line has it looked up, and keeps it until then', () => {
    const { phone, last } = run([dial, initiated(1), { type: 'SnapshotReceived', calls: [] }]);
    expect(last).toEqual([{ type: 'LookUp', callId: 'call_1' }]);
    expect(phone.line.phase).toBe('bound');
    const gone = run([{ type: 'LookFailed', callId: 'call_1', problem: problem(404, 'call_not_found') }], phone);
    expect(gone.phone.line).toMatchObject({ phase: 'ended', cause: null });
    expect(names(gone.last)).toEqual(['CloseAudio']);
  });
});

describe('digits and mute', () => {
  const talking = run([dial, initiated(1), told(call({ state: 'talking', answer_time: NOON }))]).phone;

  it('are sent while talking, and not before', () => {
    expect(run([dial, initiated(1), { type: 'Press', digit: '5' }]).last).toEqual([]);
    const { last, phone } = run([{ type: 'Press', digit: '5' }], talking);
    expect(last).toEqual([{ type: 'SendDigit', turn: 1, digit: '5' }]);
    expect(phone.line).toMatchObject({ digits: '5' });
  });

  it('say when the call cannot carry them', () => {
    const { phone } = run(
      [
        { type: 'Press', digit: '5' },
        { type: 'DigitRefused', turn: 1 },
      ],
      talking,
    );
    expect(phone.line).toMatchObject({ digits: '', digitsRefused: true });
  });

  it('mute goes to the call on the line', () => {
    expect(run([{ type: 'Mute', on: true }], talking).last).toEqual([{ type: 'SetMuted', turn: 1, on: true }]);
  });
});

describe('whatever happens', () => {
  it('audio is open exactly while the line is in use', () => {
    const wrong: number[] = [];
    for (let seed = 1; seed <= 1000; seed += 1) {
      const { phone, all } = storm(seed);
      const opened = new Set(all.flatMap((effect) => (effect.type === 'OpenMicrophone' ? [effect.turn] : [])));
      for (const effect of all) if (effect.type === 'CloseAudio') opened.delete(effect.turn);
      const { line } = phone;
      const going = line.phase === 'bound' && phone.leaving.includes(line.callId);
      const used = (line.phase === 'bound' || line.phase === 'initiating') && !going ? [line.turn] : [];
      const called = line.phase !== 'bound' || phone.calls[line.callId] !== undefined;
      if ([...opened].join() !== used.join() || phone.pending < 0 || !called) wrong.push(seed);
    }
    expect(wrong).toEqual([]);
  });
});

const ENDED = problem(409, 'call_ended');
const ACTIVE = problem(409, 'call_already_active');
const MISSING = problem(404, 'call_not_found');
const DOWN = problem(503, 'call_termination_failed');

/** Forty random inputs; each Initiate gets exactly one response, some time later. */
function storm(seed: number) {
  let x = seed * 2654435761;
  const pick = (n: number) => ((x = (Math.imul(x ^ (x >>> 15), 2246822519) + 0x9e3779b9) >>> 0), x % n);
  let phone = freshPhone();
  const all: Effect[] = [];
  const waiting: number[] = [];
  for (let n = 0; n < 40; n += 1) {
    const turn = phone.turn - pick(2);
    const ours = pick(2) === 0;
    const callId = ours ? `call_by_turn_${turn}` : `call_${pick(4)}`;
    const state = (['dialling', 'ringing', 'talking', 'ended'] as const)[pick(4)] ?? 'ended';
    const direction = pick(2) && !ours ? 'incoming' : 'outgoing';
    const choices: Input[] = [
      dial,
      { type: 'HangUp' },
      { type: 'Accept', callId },
      { type: 'Decline', callId },
      { type: 'HangUpElsewhere', callId },
      { type: 'Dismiss' },
      { type: 'RetryMicrophone' },
      { type: 'MicrophoneOpened', turn },
      { type: 'MicrophoneFailed', turn, trouble: 'denied' },
      { type: 'Answered', turn },
      { type: 'AnswerFailed', turn, problem: pick(2) ? ENDED : ACTIVE },
      { type: 'Terminated', callId, duration: 1 },
      { type: 'EndFailed', callId, problem: pick(2) ? MISSING : DOWN },
      { type: 'LookFailed', callId, problem: MISSING },
      { type: 'SnapshotReceived', calls: pick(2) ? [call({ call_id: callId })] : [] },
      told(call({ call_id: callId, state, direction, sdp_offer: 'v=0' })),
      told(ringing({ call_id: `call_${pick(4)}` })),
    ];
    const due = pick(3) === 0 ? waiting.shift() : undefined;
    const input =
      due === undefined
        ? choices[pick(choices.length)]
        : pick(2)
          ? initiated(due, `call_by_turn_${due}`)
          : ({ type: 'InitiateFailed', turn: due, problem: DOWN } as Input);
    if (!input) continue;
    const { phone: next, effects } = step(phone, input);
    for (const effect of effects) if (effect.type === 'Initiate') waiting.push(effect.turn);
    phone = next;
    all.push(...effects);
  }
  return { phone, all };
}
