import { useTexts } from '../i18n/context';

const KEYS = [
  ['1', ''],
  ['2', 'ABC'],
  ['3', 'DEF'],
  ['4', 'GHI'],
  ['5', 'JKL'],
  ['6', 'MNO'],
  ['7', 'PQRS'],
  ['8', 'TUV'],
  ['9', 'WXYZ'],
  ['*', ''],
  ['0', '+'],
  ['#', ''],
] as const;

const TEST_IDS: Record<string, string> = { '*': 'digit-star', '#': 'digit-hash' };

export function DialPad({
  press,
  disabled = false,
}: {
  readonly press: (digit: string) => void;
  readonly disabled?: boolean;
}) {
  const { t } = useTexts();
  return (
    <div className="pad" role="group" aria-label={t.phone.keypad}>
      {KEYS.map(([digit, letters]) => (
        <button
          key={digit}
          type="button"
          className="key"
          aria-label={t.phone.digit(digit)}
          disabled={disabled}
          data-testid={TEST_IDS[digit] ?? `digit-${digit}`}
          onClick={() => press(digit)}
        >
          {digit}
          <small aria-hidden="true">{letters}</small>
        </button>
      ))}
    </div>
  );
}
