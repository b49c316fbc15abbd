/*
 * The phone as a pure state machine.
 *
 *   line:  idle ──Dial──▶ initiating ──Initiated──▶ bound ──(call ended)──▶ ended ──Dismiss──▶ idle
 *            └───────────Accept────────────────────▶──┘
 *
 * Invariants
 * - The line has one call at most; accepting another ends the first, in this order.
 * - A call goes forward only, and an ended one stays ended.
 * - Audio that was opened is closed: every turn that leaves `initiating` or `bound` has its CloseAudio.
 * - A call that nobody wants any more is terminated, also when its id comes after the hang-up.
 * - An input that does not apply changes nothing.
 */
import type { Problem } from '../api/problem';
import { canBeAccepted, isOver, type Call } from './call';
import type { Effect, Input } from './phone-input';
import { changed, endOf, gone, keep, settle, snapshot, still, takenElsewhere, without, type Step } from './phone-news';
import { lineCall, lineIsFree, type Bound, type Ended, type Line, type Phone } from './phone-state';

export function step(phone: Phone, input: Input): Step {
  switch (input.type) {
    case 'Dial':
      return dial(phone, input.number, input.key);
    case 'Accept':
      return accept(phone, input.callId);
    case 'Decline':
      return leaveElsewhere(phone, input.callId, { type: 'Reject', callId: input.callId });
    case 'HangUpElsewhere':
      return leaveElsewhere(phone, input.callId, { type: 'Terminate', callId: input.callId });
    case 'HangUp':
      return hangUp(phone);
    case 'Mute':
      return onLine(phone, (line) =>
        also({ ...line, muted: input.on }, { type: 'SetMuted', turn: line.turn, on: input.on }),
      );
    case 'Press':
      return press(phone, input.digit);
    case 'RetryMicrophone':
      return retryMicrophone(phone);
    case 'Dismiss':
      return still({ ...phone, notice: null, line: lineIsFree(phone) ? { phase: 'idle' } : phone.line });
    case 'SnapshotReceived':
      return snapshot(phone, input.calls);
    case 'CallChanged':
      return changed(phone, input.call);
    case 'Initiated':
      return initiated(phone, input);
    case 'InitiateFailed':
      return initiateFailed({ ...phone, pending: phone.pending - 1 }, input.turn, input.problem);
    case 'Answered':
      return onTurn(phone, input.turn, (line) => ({ ...line, answer: 'accepted' }));
    case 'AnswerFailed':
      return answerFailed(phone, input.turn, input.problem);
    case 'Terminated':
      return terminated(phone, input.callId, input.duration);
    case 'EndFailed':
      return endFailed(phone, input.callId, input.problem);
    case 'LookFailed':
      return lookFailed(phone, input.callId, input.problem);
    case 'MicrophoneOpened':
      return microphone(phone, input.turn, 'ready');
    case 'MicrophoneFailed':
      return microphone(phone, input.turn, input.trouble);
    case 'AudioChanged':
      return onTurn(phone, input.turn, (line) => ({ ...line, audio: input.audio }));
    case 'AudioHeard':
      return onTurn(phone, input.turn, (line) => ({ ...line, heard: true }));
    case 'DigitRefused':
      return onTurn(phone, input.turn, (line) => ({ ...line, digits: line.digits.slice(0, -1), digitsRefused: true }));
  }
}

function dial(phone: Phone, number: string, key: string): Step {
  if (!lineIsFree(phone) || phone.pending > 0) return still(phone);
  const turn = phone.turn + 1;
  const line: Line = { phase: 'initiating', turn, number, microphone: 'asked' };
  return {
    phone: { ...phone, turn, line, notice: null, pending: phone.pending + 1 },
    effects: [
      { type: 'OpenMicrophone', turn },
      { type: 'Initiate', turn, number, key },
    ],
  };
}

function initiated(before: Phone, input: Extract<Input, { type: 'Initiated' }>): Step {
  const phone = { ...before, pending: before.pending - 1 };
  const { call_id: callId, session_id: sessionId, sdp_offer: offer, start_time, status } = input.result;
  if (phone.line.phase !== 'initiating' || phone.line.turn !== input.turn) {
    return leave(phone, callId, { type: 'Terminate', callId });
  }
  if (phone.leaving.includes(callId)) return hangUp(phone); // ended from here already, as a call elsewhere
  const { turn, microphone } = phone.line;
  const call: Call = {
    call_id: callId,
    session_id: sessionId,
    direction: 'outgoing',
    status,
    state: 'dialling',
    peer: { number: input.number },
    start_time,
    duration: 0,
  };
  const bound = { ...phone, line: bind(turn, callId, sessionId, offer, microphone), calls: keep(phone.calls, call) };
  return settle(bound, callId, false, proceed);
}

function initiateFailed(phone: Phone, turn: number, problem: Problem): Step {
  if (phone.line.phase !== 'initiating' || phone.line.turn !== turn) return still(phone);
  const line: Ended = {
    phase: 'ended',
    callId: null,
    direction: 'outgoing',
    peer: { number: phone.line.number },
    cause: null,
    problem,
    talked: null,
  };
  return { phone: { ...phone, line }, effects: [{ type: 'CloseAudio', turn }] };
}

function accept(phone: Phone, callId: string): Step {
  const call = phone.calls[callId];
  const taken = phone.leaving.includes(callId) || lineCall(phone)?.call_id === callId;
  if (!call || !canBeAccepted(call) || taken) return still(phone);
  const freed = freeLine(phone);
  const turn = phone.turn + 1;
  const line = bind(turn, callId, call.session_id, call.sdp_offer ?? '', 'asked');
  return {
    phone: { ...freed.phone, turn, line, notice: null },
    effects: [...freed.effects, { type: 'OpenMicrophone', turn }],
  };
}

/** Ends what is on the line, whatever it is. A call whose id is not known yet is ended when its id comes. */
function freeLine(phone: Phone): Step {
  const line = phone.line;
  if (line.phase === 'idle' || line.phase === 'ended') return still(phone);
  const close: Effect = { type: 'CloseAudio', turn: line.turn };
  const idle: Phone = { ...phone, line: { phase: 'idle' } };
  if (line.phase === 'initiating') return { phone: idle, effects: [close] };
  const left = leave(idle, line.callId, { type: 'Terminate', callId: line.callId });
  return { phone: left.phone, effects: [close, ...left.effects] };
}

function hangUp(phone: Phone): Step {
  const line = phone.line;
  if (line.phase === 'initiating') {
    const ended: Ended = {
      phase: 'ended',
      callId: null,
      direction: 'outgoing',
      peer: { number: line.number },
      cause: 'cancelled',
      problem: null,
      talked: null,
    };
    return { phone: { ...phone, line: ended }, effects: [{ type: 'CloseAudio', turn: line.turn }] };
  }
  if (line.phase !== 'bound' || phone.leaving.includes(line.callId)) return still(phone);
  const left = leave(phone, line.callId, { type: 'Terminate', callId: line.callId });
  return { phone: left.phone, effects: [{ type: 'CloseAudio', turn: line.turn }, ...left.effects] };
}

function leaveElsewhere(phone: Phone, callId: string, effect: Effect): Step {
  if (lineCall(phone)?.call_id === callId) return hangUp(phone);
  return phone.calls[callId] && !isOver(phone.calls[callId]) ? leave(phone, callId, effect) : still(phone);
}

/** Asks for the end of a call, once. */
function leave(phone: Phone, callId: string, effect: Effect): Step {
  if (phone.leaving.includes(callId)) return still(phone);
  return { phone: { ...phone, notice: null, leaving: [...phone.leaving, callId] }, effects: [effect] };
}

function terminated(phone: Phone, callId: string, duration: number): Step {
  const call = phone.calls[callId];
  if (!call || isOver(call)) return still({ ...phone, leaving: without(phone.leaving, callId) });
  return changed(phone, { ...call, state: 'ended', cause: ownCause(call), duration });
}

/** Why a call ended that we ended; the server's word may still replace it. */
function ownCause(call: Call): string {
  if (call.state === 'talking') return 'normal';
  return call.direction === 'outgoing' ? 'cancelled' : 'declined';
}

function endFailed(before: Phone, callId: string, problem: Problem): Step {
  if (!before.leaving.includes(callId)) return still(before);
  const phone = { ...before, leaving: without(before.leaving, callId) };
  if (problem.status === 404) return gone(phone, callId, null);
  if (phone.line.phase !== 'bound' || phone.line.callId !== callId) {
    if (problem.code === 'call_already_active') return { phone, effects: [{ type: 'LookUp', callId }] };
    return still({ ...phone, notice: problem });
  }
  // Its audio is closed already: it goes on as a call without any, to be hung up again.
  return {
    phone: { ...phone, line: { phase: 'idle' }, lost: [...phone.lost, callId], notice: problem },
    effects: [{ type: 'CloseAudio', turn: phone.line.turn }],
  };
}

function lookFailed(phone: Phone, callId: string, problem: Problem): Step {
  return problem.status === 404 || lineCall(phone)?.call_id === callId ? gone(phone, callId, problem) : still(phone);
}

function answerFailed(phone: Phone, turn: number, problem: Problem): Step {
  const line = phone.line;
  const call = lineCall(phone);
  if (line.phase !== 'bound' || line.turn !== turn || !call) return still(phone);
  if (problem.code === 'call_ended' || problem.status === 404) {
    return { phone, effects: [{ type: 'LookUp', callId: line.callId }] };
  }
  const close: Effect = { type: 'CloseAudio', turn };
  if (problem.code === 'call_already_active')
    return { phone: { ...phone, line: takenElsewhere(call) }, effects: [close] };
  const left = leave({ ...phone, line: { ...endOf(call), problem } }, line.callId, {
    type: 'Terminate',
    callId: line.callId,
  });
  return { phone: left.phone, effects: [close, ...left.effects] };
}

function microphone(phone: Phone, turn: number, state: Bound['microphone']): Step {
  const line = phone.line;
  if ((line.phase !== 'initiating' && line.phase !== 'bound') || line.turn !== turn) return still(phone);
  return proceed({ ...phone, line: { ...line, microphone: state } });
}

function retryMicrophone(phone: Phone): Step {
  const line = phone.line;
  const waits = line.phase === 'initiating' || (line.phase === 'bound' && line.answer === 'waiting');
  const going = line.phase === 'bound' && phone.leaving.includes(line.callId);
  if (!waits || going || line.microphone === 'asked' || line.microphone === 'ready') return still(phone);
  return {
    phone: { ...phone, line: { ...line, microphone: 'asked' } },
    effects: [{ type: 'OpenMicrophone', turn: line.turn }],
  };
}

/** Answers as soon as both the offer and the microphone are there. */
function proceed(phone: Phone): Step {
  const line = phone.line;
  if (line.phase !== 'bound' || line.answer !== 'waiting' || line.microphone !== 'ready') return still(phone);
  if (phone.leaving.includes(line.callId)) return still(phone);
  const { turn, callId, sessionId, offer } = line;
  return {
    phone: { ...phone, line: { ...line, answer: 'sent' } },
    effects: [{ type: 'Answer', turn, callId, sessionId, offer }],
  };
}

function press(phone: Phone, digit: string): Step {
  if (lineCall(phone)?.state !== 'talking') return still(phone);
  return onLine(phone, (line) =>
    also({ ...line, digits: line.digits + digit, digitsRefused: false }, { type: 'SendDigit', turn: line.turn, digit }),
  );
}

function bind(turn: number, callId: string, sessionId: string, offer: string, microphone: Bound['microphone']): Bound {
  return {
    phase: 'bound',
    turn,
    callId,
    sessionId,
    offer,
    microphone,
    answer: 'waiting',
    audio: 'connecting',
    heard: false,
    muted: false,
    digits: '',
    digitsRefused: false,
  };
}

function onLine(phone: Phone, change: (line: Bound) => { line: Bound; effect: Effect }): Step {
  if (phone.line.phase !== 'bound') return still(phone);
  const { line, effect } = change(phone.line);
  return { phone: { ...phone, line }, effects: [effect] };
}

function onTurn(phone: Phone, turn: number, change: (line: Bound) => Bound): Step {
  return phone.line.phase === 'bound' && phone.line.turn === turn
    ? still({ ...phone, line: change(phone.line) })
    : still(phone);
}

function also(line: Bound, effect: Effect): { line: Bound; effect: Effect } {
  return { line, effect };
}
