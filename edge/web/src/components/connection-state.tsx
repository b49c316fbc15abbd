import type { Connection } from '../events/events';
import { useTexts } from '../i18n/context';

export function ConnectionState({ state }: { readonly state: Connection }) {
  const { t } = useTexts();
  return (
    <span className="connection" role="status" data-testid="connection-state" data-state={state}>
      <span className="connection-dot" aria-hidden="true" />
      <span className="connection-text">{t.connection[state]}</span>
    </span>
  );
}
