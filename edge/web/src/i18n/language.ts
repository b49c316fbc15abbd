import { en } from './en';
import type { Messages } from './messages';
import { ru } from './ru';

export const CATALOGUES = { en, ru } as const satisfies Record<string, Messages>;

export type Language = keyof typeof CATALOGUES;

/** Each in its own words: who cannot read the page must still find it. */
export const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', ru: 'Русский' };

const KEY = 'tandem.language';

function isLanguage(name: string | null | undefined): name is Language {
  return name === 'en' || name === 'ru';
}

/** What was chosen here before, else the first of the browser's languages that we speak, else English. */
export function initialLanguage(storage: Storage, preferred: readonly string[]): Language {
  const kept = storage.getItem(KEY);
  if (isLanguage(kept)) return kept;
  return preferred.map((tag) => tag.toLowerCase().split('-')[0]).find(isLanguage) ?? 'en';
}

export function rememberLanguage(storage: Storage, language: Language): void {
  storage.setItem(KEY, language);
}
