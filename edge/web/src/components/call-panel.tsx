import { useEffect, useRef, type KeyboardEvent } from 'react';
import { peerLabel, type Call } from '../calls/call';
import type { Input } from '../calls/phone-input';
import type { Bound, Initiating } from '../calls/phone-state';
import type { ServerClock } from '../calls/server-clock';
import { useTexts } from '../i18n/context';
import type { Messages } from '../i18n/messages';
import { DialPad } from './dial-pad';
import { Icon } from './icon';
import { MicrophoneHint } from './microphone-hint';
import { stateText } from './state-text';
import { Timer } from './timer';

export interface CallPanelProps {
  readonly line: Initiating | Bound;
  /** `null` while the server has not named it. */
  readonly call: Call | null;
  readonly leaving: readonly string[];
  readonly clock: ServerClock;
  readonly send: (input: Input) => void;
}

/** The call on the line. */
export function CallPanel({ line, call, leaving, clock, send }: CallPanelProps) {
  const { t } = useTexts();
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => panel.current?.focus(), []);
  const bound = line.phase === 'bound' ? line : null;
  const talking = call?.state === 'talking';
  const going = call !== null && leaving.includes(call.call_id);

  function key(event: KeyboardEvent) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') send({ type: 'HangUp' });
    else if (talking && /^[0-9*#]$/.test(event.key)) send({ type: 'Press', digit: event.key });
  }

  return (
    <div className="call" ref={panel} tabIndex={-1} role="group" aria-labelledby="call-peer" onKeyDown={key}>
      <p className="call-peer" id="call-peer" data-testid="call-peer">
        {call ? peerLabel(call.peer) : line.phase === 'initiating' ? line.number : ''}
      </p>
      {call?.peer.name && <p className="muted">{call.peer.number}</p>}
      <p className="call-state" data-testid="call-state" data-state={call?.state ?? 'dialling'} data-cause="">
        {call ? stateText(t, call, leaving) : t.phone.dialling}
      </p>
      {talking && call.answer_time && (
        <p className="call-timer" role="timer" aria-label={t.phone.timer} data-testid="call-timer">
          <Timer since={call.answer_time} clock={clock} />
        </p>
      )}
      <MicrophoneHint microphone={line.microphone} send={send} />
      {bound && !going && (
        <p className="hint" role="status">
          {audioHint(t, bound, talking)}
        </p>
      )}
      <div className="actions">
        {bound?.microphone === 'ready' && (
          <button
            type="button"
            className="button"
            data-testid="mute"
            aria-pressed={bound.muted}
            disabled={going}
            onClick={() => send({ type: 'Mute', on: !bound.muted })}
          >
            <Icon name={bound.muted ? 'microphoneOff' : 'microphone'} />
            {t.phone.mute}
          </button>
        )}
        <button
          type="button"
          className="button stop"
          data-testid="hang-up"
          disabled={going}
          onClick={() => send({ type: 'HangUp' })}
        >
          <Icon name="hangUp" />
          {call?.direction === 'incoming' && !talking ? t.phone.decline : t.phone.hangUp}
        </button>
      </div>
      {talking && <DialPad press={(digit) => send({ type: 'Press', digit })} disabled={going} />}
      {talking && <p className="hint keys-hint">{t.phone.keysHint}</p>}
    </div>
  );
}

function audioHint(t: Messages, line: Bound, talking: boolean): string {
  if (line.microphone !== 'ready') return '';
  if (line.audio !== 'connected') return talking || line.audio !== 'connecting' ? t.audio[line.audio] : '';
  if (line.digitsRefused) return t.phone.digitsRefused;
  if (line.muted) return t.phone.muted;
  return line.digits ? t.phone.digitsSent(line.digits) : '';
}
