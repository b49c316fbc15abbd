import type { Problem } from '../api/problem';
import type { MicrophoneTrouble } from '../media/microphone';
import { canBeAccepted, isOver, type Call, type Direction, type Peer } from './call';

/** Everything that the calls page shows: what the server says, and what this tab's microphone and loudspeaker do. */
export interface Phone {
  /** By `call_id`: all that live, and the last few that ended, so that late news cannot wake them. */
  readonly calls: Readonly<Record<string, Call>>;
  readonly line: Line;
  /** Numbers each use of the line: news of an earlier one is stale. */
  readonly turn: number;
  /** `initiate` requests without a response; there is at most one. */
  readonly pending: number;
  /** Calls that were asked to end and have not yet. */
  readonly leaving: readonly string[];
  /** Calls whose audio was in this tab before it was reloaded. */
  readonly lost: readonly string[];
  /** What went wrong with a call that is not on the line. */
  readonly notice: Problem | null;
}

export type Line = Idle | Initiating | Bound | Ended;

export interface Idle {
  readonly phase: 'idle';
}

/** Asked for, and the server has not said yet which call it is. */
export interface Initiating {
  readonly phase: 'initiating';
  readonly turn: number;
  readonly number: string;
  readonly microphone: Microphone;
}

/** Has a call: `calls[callId]` is there as long as this is. */
export interface Bound {
  readonly phase: 'bound';
  readonly turn: number;
  readonly callId: string;
  readonly sessionId: string;
  readonly offer: string;
  readonly microphone: Microphone;
  /** Our side of the negotiation. */
  readonly answer: 'waiting' | 'sent' | 'accepted';
  readonly audio: AudioState;
  /** Something came from the other side: a callee's early media make our own ringback tone superfluous. */
  readonly heard: boolean;
  readonly muted: boolean;
  /** Digits sent in this call. */
  readonly digits: string;
  readonly digitsRefused: boolean;
}

/** Stays to be read until it is dismissed or the line is used again. */
export interface Ended {
  readonly phase: 'ended';
  /** `null` when it ended before the server said which call it is. */
  readonly callId: string | null;
  readonly direction: Direction;
  readonly peer: Peer;
  /** Why, in core's words; `null` when nobody could say. */
  readonly cause: string | null;
  /** Why it could not be made, when it never came to be a call. */
  readonly problem: Problem | null;
  /** Seconds of talk, `null` without any. */
  readonly talked: number | null;
}

export type Microphone = 'asked' | 'ready' | MicrophoneTrouble;
export type AudioState = 'connecting' | 'connected' | 'interrupted' | 'failed';

/** @param lost what this tab remembered from before its reload */
export function freshPhone(lost: readonly string[] = []): Phone {
  return { calls: {}, line: { phase: 'idle' }, turn: 0, pending: 0, leaving: [], lost, notice: null };
}

/** The call on the line. */
export function lineCall(phone: Phone): Call | null {
  return phone.line.phase === 'bound' ? (phone.calls[phone.line.callId] ?? null) : null;
}

export function lineIsFree(phone: Phone): boolean {
  return phone.line.phase === 'idle' || phone.line.phase === 'ended';
}

/** Those that ring here, the first caller first. */
export function incomingCalls(phone: Phone): readonly Call[] {
  return live(phone).filter(canBeAccepted);
}

/** Those of this user that some other tab or device has, or nobody has any more. */
export function callsElsewhere(phone: Phone): readonly Call[] {
  // While we wait to hear which call is ours, one that is being set up is most likely that one.
  const perhapsOurs = (call: Call) => phone.pending > 0 && call.direction === 'outgoing' && call.state !== 'talking';
  return live(phone).filter((call) => !canBeAccepted(call) && !perhapsOurs(call));
}

function live(phone: Phone): readonly Call[] {
  const onLine = lineCall(phone)?.call_id;
  return Object.values(phone.calls)
    .filter((call) => !isOver(call) && call.call_id !== onLine && !phone.leaving.includes(call.call_id))
    .sort((a, b) => Date.parse(a.start_time) - Date.parse(b.start_time));
}

/** What this tab has to remember across a reload: the calls whose audio it had. */
export function heldCalls(phone: Phone): readonly string[] {
  return phone.line.phase === 'bound' ? [...phone.lost, phone.line.callId] : phone.lost;
}
