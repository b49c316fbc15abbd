/*
 * What the phone makes of news from the server: calls go forward only, and the line lets go of what is over or taken.
 */
import type { Problem } from '../api/problem';
import { canBeAccepted, isOver, newer, type Call } from './call';
import type { Effect } from './phone-input';
import { lineCall, lineIsFree, type Ended, type Phone } from './phone-state';

export interface Step {
  readonly phone: Phone;
  readonly effects: readonly Effect[];
}

/** How many ended calls are kept, so that late news does not wake them. */
const ENDED_KEPT = 16;

export function snapshot(phone: Phone, told: readonly Call[]): Step {
  const ended = Object.values(phone.calls).filter(isOver);
  const mine = lineCall(phone);
  const missed = mine && !told.some((call) => call.call_id === mine.call_id) ? [mine] : [];
  const calls = [...ended, ...missed, ...told].reduce(keep, {} as Phone['calls']);
  const lives = (id: string) => calls[id] !== undefined && !isOver(calls[id]);
  const next = { ...phone, calls, lost: phone.lost.filter(lives), leaving: phone.leaving.filter(lives) };
  const lookUps = missed.map((call): Effect => ({ type: 'LookUp', callId: call.call_id }));
  const settled = mine ? settle(next, mine.call_id, false, still) : still(next);
  return { phone: settled.phone, effects: [...settled.effects, ...lookUps] };
}

export function changed(phone: Phone, told: Call): Step {
  const known = phone.calls[told.call_id];
  const rang = known !== undefined && canBeAccepted(known);
  return settle({ ...phone, calls: keep(phone.calls, told) }, told.call_id, rang, still);
}

/** After news of a call: lets go of the line and of what was remembered when it is over or somebody else's. */
export function settle(phone: Phone, callId: string, rang: boolean, otherwise: (phone: Phone) => Step): Step {
  const call = phone.calls[callId];
  const line = phone.line;
  if (!call) return still(phone);
  const onIt = line.phase === 'bound' && line.callId === callId;
  if (isOver(call)) {
    const toldMore =
      line.phase === 'ended' && line.callId === callId && !line.problem && line.cause !== 'answered_elsewhere';
    const show = onIt || toldMore || (rang && lineIsFree(phone));
    const forgotten = { ...phone, leaving: without(phone.leaving, callId), lost: without(phone.lost, callId) };
    return {
      phone: show ? { ...forgotten, line: endOf(call) } : forgotten,
      effects: onIt ? [{ type: 'CloseAudio', turn: line.turn }] : [],
    };
  }
  if (onIt && call.state === 'talking' && call.direction === 'incoming' && line.answer === 'waiting') {
    // We have not answered, so another device has.
    return {
      phone: { ...phone, line: takenElsewhere(call) },
      effects: [{ type: 'CloseAudio', turn: line.turn }],
    };
  }
  return otherwise(phone);
}

export function endOf(call: Call): Ended {
  const talked = call.answer_time ? call.duration : null;
  const { call_id: callId, direction, peer } = call;
  return { phase: 'ended', callId, direction, peer, cause: call.cause ?? null, problem: null, talked };
}

/** For us it is over, while the call goes on. */
export function takenElsewhere(call: Call): Ended {
  return { ...endOf(call), cause: 'answered_elsewhere', talked: null };
}

/** The server does not know the call (any more). */
export function gone(phone: Phone, callId: string, problem: Problem | null): Step {
  const call = phone.calls[callId];
  if (!call || isOver(call)) return still(phone);
  const shown = changed(phone, { ...call, state: 'ended', cause: null });
  if (shown.phone.line.phase !== 'ended' || problem === null || problem.status === 404) return shown;
  return { ...shown, phone: { ...shown.phone, line: { ...shown.phone.line, problem } } };
}

/** Takes the news in, and drops the oldest of too many ended calls. */
export function keep(calls: Phone['calls'], told: Call): Phone['calls'] {
  const next = { ...calls, [told.call_id]: newer(calls[told.call_id], told) };
  const ended = Object.values(next).filter(isOver);
  for (const call of ended.slice(0, Math.max(0, ended.length - ENDED_KEPT))) delete next[call.call_id];
  return next;
}

export function without(ids: readonly string[], id: string): readonly string[] {
  return ids.includes(id) ? ids.filter((other) => other !== id) : ids;
}

export function still(phone: Phone): Step {
  return { phone, effects: [] };
}
