import { peerLabel, type Call } from '../calls/call';
import { clockText } from '../calls/duration';
import { useTexts } from '../i18n/context';
import { causeSentence } from '../i18n/sentences';
import { Icon } from './icon';
import { whenText } from './when-text';

export interface HistoryRowProps {
  readonly call: Call;
  readonly missed: boolean;
  readonly mayDial: boolean;
  readonly dial: (number: string) => void;
}

/** One call of the past; pressing it calls again. */
export function HistoryRow({ call, missed, mayDial, dial }: HistoryRowProps) {
  const { language, t } = useTexts();
  const how = missed ? t.history.missed : call.direction === 'outgoing' ? t.history.outgoing : t.history.incoming;
  const result = call.answer_time ? clockText(call.duration) : causeSentence(t, call.cause, call.direction);
  return (
    <li>
      <button
        type="button"
        className={missed ? 'row missed' : 'row'}
        disabled={!mayDial}
        title={t.history.redial(call.peer.number)}
        data-testid="history-row"
        data-call-id={call.call_id}
        data-cause={call.cause ?? ''}
        onClick={() => dial(call.peer.number)}
      >
        <Icon name={call.direction} />
        <span className="row-peer">{peerLabel(call.peer)}</span>
        <time dateTime={call.start_time}>{whenText(call.start_time, language, new Date())}</time>
        <span className="row-result">
          <span className="unseen">{how}. </span>
          {result}
        </span>
      </button>
    </li>
  );
}
