import type { Problem } from '../api/problem';
import type { Input } from '../calls/phone-input';
import { useTexts } from '../i18n/context';
import { problemSentence } from '../i18n/sentences';
import { Icon } from './icon';

export function NoticePanel({ problem, send }: { readonly problem: Problem; readonly send: (input: Input) => void }) {
  const { t } = useTexts();
  return (
    <div className="notice" role="alert" data-testid="notice">
      <p>{problemSentence(t, problem)}</p>
      <button type="button" className="erase" aria-label={t.phone.dismiss} onClick={() => send({ type: 'Dismiss' })}>
        <Icon name="close" />
      </button>
    </div>
  );
}
