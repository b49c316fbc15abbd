import type { Call } from '../calls/call';

/** What the server sends on the events socket. */
export type Frame = Snapshot | Resumed | CallEvent;

/** Everything that lives now; what is not in it is over. */
export interface Snapshot {
  readonly type: 'snapshot';
  readonly cursor: string;
  readonly calls: readonly Call[];
}

/** Only what was missed follows. */
export interface Resumed {
  readonly type: 'resumed';
  readonly cursor: string;
}

export interface CallEvent {
  readonly type: `call.${string}`;
  readonly cursor: string;
  readonly time: string;
  readonly call: Call;
}

/** `null` for what is no frame of ours: a newer server may send more kinds. */
export function parseFrame(text: unknown): Frame | null {
  let frame: { type?: unknown; cursor?: unknown; calls?: unknown; call?: { call_id?: unknown } } | null;
  try {
    frame = JSON.parse(String(text));
  } catch {
    return null;
  }
  if (typeof frame?.type !== 'string' || typeof frame.cursor !== 'string') return null;
  const known =
    (frame.type === 'snapshot' && Array.isArray(frame.calls)) ||
    frame.type === 'resumed' ||
    (frame.type.startsWith('call.') && typeof frame.call?.call_id === 'string');
  return known ? (frame as unknown as Frame) : null;
}
