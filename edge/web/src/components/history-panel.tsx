import { useSyncExternalStore } from 'react';
import { wasMissed } from '../history/history';
import type { HistoryList } from '../history/history-list';
import { useTexts } from '../i18n/context';
import { HistoryRow } from './history-row';

export interface HistoryPanelProps {
  readonly list: HistoryList;
  readonly mayDial: boolean;
  readonly dial: (number: string) => void;
}

export function HistoryPanel({ list, mayDial, dial }: HistoryPanelProps) {
  const { t } = useTexts();
  const { calls, cursor, phase } = useSyncExternalStore(list.state.subscribe, list.state.get);
  return (
    <section className="history card" aria-labelledby="history-heading">
      <h2 id="history-heading">{t.history.heading}</h2>
      {calls.length === 0 && phase === 'ready' && <p className="muted">{t.history.empty}</p>}
      <ul data-testid="history" aria-busy={phase === 'loading'}>
        {calls.map((call) => (
          <HistoryRow key={call.call_id} call={call} missed={wasMissed(call)} mayDial={mayDial} dial={dial} />
        ))}
      </ul>
      {(cursor || phase !== 'ready') && (
        <button
          type="button"
          className="button wide"
          disabled={phase === 'loading'}
          data-testid="history-more"
          onClick={() => void list.more()}
        >
          {phase === 'loading' ? t.history.loading : phase === 'failed' ? t.history.retry : t.history.more}
        </button>
      )}
    </section>
  );
}
