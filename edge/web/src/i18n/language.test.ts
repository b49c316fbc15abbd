import { expect, it } from 'vitest';
import { Problem } from '../api/problem';
import { CATALOGUES, initialLanguage } from './language';
import { problemSentence } from './sentences';

const storage = (kept: string | null) => ({ getItem: () => kept }) as unknown as Storage;

it.each([
  ['ru', ['en-US'], 'ru'],
  [null, ['de-DE', 'ru-RU', 'en'], 'ru'],
  [null, ['de-DE'], 'en'],
  ['klingon', ['RU'], 'ru'],
] as [string | null, string[], string][])('kept %s and preferred %j begin in %s', (kept, preferred, language) => {
  expect(initialLanguage(storage(kept), preferred)).toBe(language);
});

it('no text of a language is empty, and none was left in the other', () => {
  const texts = (value: unknown): string[] =>
    typeof value === 'string'
      ? [value]
      : typeof value === 'function'
        ? [value('1')]
        : Object.values(value as object).flatMap(texts);
  const [en, ru] = [texts(CATALOGUES.en), texts(CATALOGUES.ru)];
  expect(ru).toHaveLength(en.length);
  for (const text of en) expect(text).toMatch(/^[^а-яё]*[a-z][^а-яё]*$/i);
  for (const text of ru) expect(text).toMatch(/[а-яё]/i);
});

it("a problem that has no sentence is told in the server's words, with when to try again", () => {
  expect(problemSentence(CATALOGUES.en, new Problem(418, 'teapot', 'I am one', 3))).toBe('I am one Try again in 3 s.');
});
