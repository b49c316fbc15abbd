/** The time of day for today, the day and the time within this year, else the date. `time` is RFC 3339. */
export function whenText(time: string, language: string, now: Date): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return '';
  const clock: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' };
  const day: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short' };
  const sameDay = at.toDateString() === now.toDateString();
  const options = sameDay
    ? clock
    : at.getFullYear() === now.getFullYear()
      ? { ...day, ...clock }
      : { ...day, year: 'numeric' as const };
  return new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, options).format(at);
}
