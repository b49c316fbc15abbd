import { lineCall, type Phone } from '../calls/phone-state';
import { peerLabel } from '../calls/call';
import { useTexts } from '../i18n/context';
import { causeSentence, problemSentence } from '../i18n/sentences';
import type { Messages } from '../i18n/messages';
import { stateText } from './state-text';

/** Says the state of the line to those who do not see it. The region is there before its text, or it is not read. */
export function Announcer({ phone }: { readonly phone: Phone }) {
  const { t } = useTexts();
  return (
    <p className="unseen" role="status" aria-live="polite">
      {announcement(t, phone)}
    </p>
  );
}

function announcement(t: Messages, phone: Phone): string {
  const { line } = phone;
  if (line.phase === 'ended') {
    return line.problem ? problemSentence(t, line.problem) : causeSentence(t, line.cause, line.direction);
  }
  if (line.phase === 'initiating') return `${t.phone.dialling} ${line.number}`;
  const call = lineCall(phone);
  return call ? `${stateText(t, call, phone.leaving)} ${peerLabel(call.peer)}` : '';
}
