import { peerLabel, type Call } from '../calls/call';
import type { Input } from '../calls/phone-input';
import type { ServerClock } from '../calls/server-clock';
import { useTexts } from '../i18n/context';
import { Icon } from './icon';
import { Timer } from './timer';

export interface CallsElsewhereProps {
  readonly calls: readonly Call[];
  /** Those whose audio this tab had. */
  readonly lost: readonly string[];
  readonly clock: ServerClock;
  readonly send: (input: Input) => void;
}

/** The user's calls that are not on this tab's line. */
export function CallsElsewhere({ calls, lost, clock, send }: CallsElsewhereProps) {
  const { t } = useTexts();
  if (calls.length === 0) return null;
  return (
    <section className="elsewhere" aria-labelledby="elsewhere-heading" data-testid="calls-elsewhere">
      <h2 id="elsewhere-heading">{t.phone.elsewhere}</h2>
      <ul>
        {calls.map((call) => (
          <li
            key={call.call_id}
            data-testid="call-elsewhere"
            data-state={call.state}
            data-lost={lost.includes(call.call_id)}
          >
            <span>
              <strong>{peerLabel(call.peer)}</strong>{' '}
              {call.state === 'talking' && call.answer_time && <Timer since={call.answer_time} clock={clock} />}
              <span className="hint">
                {lost.includes(call.call_id) ? t.phone.audioLost : `${state(call)} ${t.phone.onOtherDevice}`}
              </span>
            </span>
            <button
              type="button"
              className="button stop"
              aria-label={t.phone.hangUpNamed(peerLabel(call.peer))}
              data-testid="hang-up-elsewhere"
              onClick={() => send({ type: 'HangUpElsewhere', callId: call.call_id })}
            >
              <Icon name="hangUp" />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );

  function state(call: Call): string {
    return call.state === 'talking'
      ? t.phone.talking
      : call.direction === 'incoming'
        ? t.phone.incomingLabel
        : t.phone.dialling;
  }
}
