/** Why a call ended: the names of `core/src/cause.rs`, in its order. A test compares the two. */
export const CAUSES = [
  'normal',
  'cancelled',
  'answered_elsewhere',
  'no_answer',
  'busy',
  'declined',
  'unknown_number',
  'invalid_number',
  'unreachable',
  'timeout',
  'forbidden',
  'loop',
  'incompatible',
  'congestion',
  'overload',
  'rate_limited',
  'throttled',
  'shutdown',
  'media_lost',
  'signalling_lost',
  'node_lost',
  'system_failure',
] as const;

export type Cause = (typeof CAUSES)[number];

/** A newer server may know a cause that this page does not. */
export function isCause(name: string | undefined): name is Cause {
  return (CAUSES as readonly (string | undefined)[]).includes(name);
}
