/** A call as the server tells it: `Call` of the HTTP and WebSocket contract. */
export interface Call {
  readonly call_id: string;
  /** This user's leg. */
  readonly session_id: string;
  readonly correlation_id?: string;
  readonly direction: Direction;
  readonly status: string;
  readonly state: CallState;
  readonly peer: Peer;
  /** RFC 3339, as all times here. */
  readonly start_time: string;
  readonly ringing_time?: string | null;
  readonly answer_time?: string | null;
  readonly end_time?: string | null;
  /** Seconds since the answer, up to the end; 0 when never answered. */
  readonly duration: number;
  /** A name of `Cause`, or one that this page does not know yet. */
  readonly cause?: string | null;
  /** Only while an incoming call waits for an answer. */
  readonly sdp_offer?: string | null;
}

export type Direction = 'outgoing' | 'incoming';
export type CallState = 'dialling' | 'ringing' | 'talking' | 'ended';

export interface Peer {
  readonly number: string;
  readonly name?: string | null;
}

const ORDER: Record<CallState, number> = { dialling: 0, ringing: 1, talking: 2, ended: 3 };

/** A call goes forward only: what is told twice or late changes nothing. */
export function newer(known: Call | undefined, told: Call): Call {
  return known && ORDER[told.state] < ORDER[known.state] ? known : told;
}

export function isOver(call: Call): boolean {
  return call.state === 'ended';
}

/** It rings here and can be taken here. */
export function canBeAccepted(call: Call): boolean {
  return call.direction === 'incoming' && call.state === 'ringing' && Boolean(call.sdp_offer);
}

export function peerLabel(peer: Peer): string {
  return peer.name || peer.number;
}
