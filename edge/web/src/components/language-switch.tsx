import { useTexts } from '../i18n/context';
import { CATALOGUES, LANGUAGE_NAMES, type Language } from '../i18n/language';

export function LanguageSwitch() {
  const { language, t, choose } = useTexts();
  return (
    <select
      className="select"
      aria-label={t.language}
      value={language}
      data-testid="language"
      onChange={(event) => choose(event.currentTarget.value as Language)}
    >
      {(Object.keys(CATALOGUES) as Language[]).map((name) => (
        <option key={name} value={name} lang={name}>
          {LANGUAGE_NAMES[name]}
        </option>
      ))}
    </select>
  );
}
