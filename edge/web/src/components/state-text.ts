import type { Call } from '../calls/call';
import type { Messages } from '../i18n/messages';

/** What a living call is doing. */
export function stateText(t: Messages, call: Call, leaving: readonly string[]): string {
  if (leaving.includes(call.call_id)) return t.phone.hangingUp;
  switch (call.state) {
    case 'dialling':
      return t.phone.dialling;
    case 'ringing':
      return call.direction === 'incoming' ? t.phone.accepted : t.phone.ringing;
    case 'talking':
      return t.phone.talking;
    case 'ended':
      return t.phone.ended;
  }
}
