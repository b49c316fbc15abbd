import { clockText } from '../calls/duration';
import { peerLabel } from '../calls/call';
import type { Input } from '../calls/phone-input';
import type { Ended } from '../calls/phone-state';
import { useTexts } from '../i18n/context';
import { causeSentence, problemSentence } from '../i18n/sentences';
import { Icon } from './icon';

export interface EndedPanelProps {
  readonly line: Ended;
  readonly redial: (number: string) => void;
  readonly send: (input: Input) => void;
}

/** How the last call ended, until it is closed or the line is used again. */
export function EndedPanel({ line, redial, send }: EndedPanelProps) {
  const { t } = useTexts();
  const sentence = line.problem ? problemSentence(t, line.problem) : causeSentence(t, line.cause, line.direction);
  return (
    <div className="ended">
      <p className="ended-peer" data-testid="call-peer">
        {peerLabel(line.peer)}
      </p>
      <p data-testid="call-state" data-state="ended" data-cause={line.problem?.code ?? line.cause ?? ''}>
        {sentence}
      </p>
      {line.talked !== null && (
        <p className="muted">
          {t.phone.timer}: <span data-testid="call-timer">{clockText(line.talked)}</span>
        </p>
      )}
      <div className="actions">
        <button type="button" className="button" onClick={() => redial(line.peer.number)}>
          <Icon name="phone" />
          {t.phone.callAgain}
        </button>
        <button type="button" className="button quiet" onClick={() => send({ type: 'Dismiss' })}>
          {t.phone.dismiss}
        </button>
      </div>
    </div>
  );
}
