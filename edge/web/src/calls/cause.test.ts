import { expect, it } from 'vitest';
import rust from '../../../../core/src/cause.rs?raw';
import { CATALOGUES } from '../i18n/language';
import { causeSentence } from '../i18n/sentences';
import { CAUSES } from './cause';

it('the causes are those of core, in its order', () => {
  const names = [...rust.matchAll(/^ +Self::\w+ => "(\w+)",$/gm)].map((match) => match[1]);
  expect(names.length).toBeGreaterThan(0);
  expect(CAUSES).toEqual(names);
});

it.each(Object.entries(CATALOGUES))('every cause is a sentence in %s, on both sides', (_, messages) => {
  for (const cause of CAUSES) {
    for (const direction of ['outgoing', 'incoming'] as const) {
      const sentence = causeSentence(messages, cause, direction);
      expect(sentence).toMatch(/^[A-ZА-ЯЁ].+[.]$/u);
      if (cause !== 'normal') expect(sentence).not.toBe(messages.causeUnknown);
    }
  }
});

it('a cause that this page does not know is still an end', () => {
  expect(causeSentence(CATALOGUES.en, 'struck_by_lightning', 'incoming')).toBe(CATALOGUES.en.causeUnknown);
  expect(causeSentence(CATALOGUES.en, null, 'outgoing')).toBe(CATALOGUES.en.causeUnknown);
});
