import { incomingCalls, lineCall, lineIsFree, type Phone } from '../calls/phone-state';
import type { Tone } from '../media/tones';

/** Rings while somebody calls and the line is free; sounds like ringing while it rings there and nothing is heard. */
export function toneFor(phone: Phone): Tone {
  if (incomingCalls(phone).length > 0 && lineIsFree(phone)) return 'ring';
  const call = lineCall(phone);
  const waits = call?.direction === 'outgoing' && call.state === 'ringing' && !phone.leaving.includes(call.call_id);
  return waits && phone.line.phase === 'bound' && !phone.line.heard ? 'ringback' : null;
}
