import { createContext, use } from 'react';
import { CATALOGUES, type Language } from './language';
import type { Messages } from './messages';

export interface Texts {
  readonly language: Language;
  readonly t: Messages;
  readonly choose: (language: Language) => void;
}

export const TextsContext = createContext<Texts>({ language: 'en', t: CATALOGUES.en, choose: () => undefined });

export function useTexts(): Texts {
  return use(TextsContext);
}
