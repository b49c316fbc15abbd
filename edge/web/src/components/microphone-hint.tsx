import type { Input } from '../calls/phone-input';
import type { Microphone } from '../calls/phone-state';
import { useTexts } from '../i18n/context';

export interface MicrophoneHintProps {
  readonly microphone: Microphone;
  readonly send: (input: Input) => void;
}

/** What keeps us from the microphone. The user chooses: to try again here, or to end the call with the button below. */
export function MicrophoneHint({ microphone, send }: MicrophoneHintProps) {
  const { t } = useTexts();
  if (microphone === 'ready') return null;
  if (microphone === 'asked') return <p className="hint">{t.microphone.asked}</p>;
  return (
    <div className="trouble" role="alert" data-testid="microphone-trouble">
      <p>{t.microphone[microphone]}</p>
      <button type="button" className="button" onClick={() => send({ type: 'RetryMicrophone' })}>
        {t.microphone.retry}
      </button>
    </div>
  );
}
