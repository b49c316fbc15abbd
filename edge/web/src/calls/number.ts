/** What was typed, as the server takes it: separators that people write into numbers go, an address stays. */
export function dialable(typed: string): string {
  const text = typed.trim();
  return /^sips?:|@/i.test(text) ? text : text.replace(/[\s().\-\u2010-\u2015/]/g, '');
}
