import { useEffect, useRef, useState, type FormEvent } from 'react';
import { dialable } from '../calls/number';
import { useTexts } from '../i18n/context';
import { DialPad } from './dial-pad';
import { Icon } from './icon';

export interface DialerProps {
  readonly number: string;
  readonly change: (number: string) => void;
  readonly dial: (number: string) => void;
  /** The attempt before has not been answered by the server yet. */
  readonly busy: boolean;
}

export function Dialer({ number, change, dial, busy }: DialerProps) {
  const { t } = useTexts();
  const field = useRef<HTMLInputElement>(null);
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    // Not away from where the user is, and not where it would raise a keyboard over the page.
    if (document.activeElement === document.body && matchMedia('(hover: hover)').matches) field.current?.focus();
  }, []);

  function submit(event: FormEvent) {
    event.preventDefault();
    const empty = dialable(number) === '';
    setMissing(empty);
    if (empty) field.current?.focus();
    else dial(number);
  }

  function typed(text: string) {
    setMissing(false);
    change(text);
  }

  return (
    <form className="dialer" onSubmit={submit}>
      <label className="field">
        {t.phone.number}
        <span className="number">
          <input
            ref={field}
            type="text"
            inputMode="tel"
            autoComplete="off"
            spellCheck={false}
            value={number}
            aria-describedby="number-hint"
            aria-invalid={missing}
            data-testid="number"
            onChange={(event) => typed(event.currentTarget.value)}
          />
          {number !== '' && (
            <button
              type="button"
              className="erase"
              aria-label={t.phone.erase}
              onClick={() => typed(number.slice(0, -1))}
            >
              <Icon name="erase" />
            </button>
          )}
        </span>
      </label>
      <p id="number-hint" className={missing ? 'hint problem' : 'hint'} role={missing ? 'alert' : undefined}>
        {missing ? t.phone.numberMissing : t.phone.numberHint}
      </p>
      <DialPad press={(digit) => typed(number + digit)} />
      <button type="submit" className="button go wide" disabled={busy} data-testid="dial">
        <Icon name="phone" />
        {t.phone.call}
      </button>
    </form>
  );
}
