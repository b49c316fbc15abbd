import { useEffect, useLayoutEffect, useRef, type KeyboardEvent } from 'react';
import { peerLabel, type Call } from '../calls/call';
import type { Input } from '../calls/phone-input';
import { useTexts } from '../i18n/context';
import { Icon } from './icon';

export interface IncomingPanelProps {
  readonly call: Call;
  /** Another call is on the line. */
  readonly endsOther: boolean;
  readonly send: (input: Input) => void;
}

/**
 * Somebody calls.
 *
 * Focus moves to the panel, not to a button of it: who was typing must not take the call with the next Enter.
 */
export function IncomingPanel({ call, endsOther, send }: IncomingPanelProps) {
  const { t } = useTexts();
  const panel = useRef<HTMLDivElement>(null);
  const before = useRef<Element | null>(null);
  // With the panel, not a paint later: a key pressed in between would go where the focus was.
  useLayoutEffect(() => {
    before.current = document.activeElement;
    panel.current?.focus();
  }, []);
  useEffect(() => {
    return () => {
      const place = before.current;
      // Back to where the user was, unless the call panel has taken the focus by now.
      if (place instanceof HTMLElement && (!document.activeElement || document.activeElement === document.body))
        place.focus();
    };
  }, []);

  function key(event: KeyboardEvent) {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    send({ type: 'Decline', callId: call.call_id });
  }

  return (
    <div
      className="incoming"
      ref={panel}
      tabIndex={-1}
      role="alertdialog"
      aria-labelledby="incoming-title"
      aria-describedby="incoming-peer incoming-note"
      onKeyDown={key}
      data-testid="incoming"
    >
      <h2 id="incoming-title">{t.phone.incomingLabel}</h2>
      <p className="call-peer" id="incoming-peer" data-testid="incoming-peer">
        {peerLabel(call.peer)}
      </p>
      {call.peer.name && <p className="muted">{call.peer.number}</p>}
      <p className="hint" id="incoming-note">
        {endsOther && t.phone.acceptEndsOther}
      </p>
      <div className="actions">
        <button
          type="button"
          className="button go"
          data-testid="accept"
          onClick={() => send({ type: 'Accept', callId: call.call_id })}
        >
          <Icon name="phone" />
          {t.phone.accept}
        </button>
        <button
          type="button"
          className="button stop"
          data-testid="decline"
          onClick={() => send({ type: 'Decline', callId: call.call_id })}
        >
          <Icon name="hangUp" />
          {t.phone.decline}
        </button>
      </div>
    </div>
  );
}
