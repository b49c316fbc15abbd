import { useEffect, useState } from 'react';
import { clockText } from '../calls/duration';
import type { ServerClock } from '../calls/server-clock';

/** Counts from `since` (RFC 3339, the server's clock). */
export function Timer({ since, clock }: { readonly since: string; readonly clock: ServerClock }) {
  const [now, setNow] = useState(() => clock.now());
  useEffect(() => {
    const beat = setInterval(() => setNow(clock.now()), 250);
    return () => clearInterval(beat);
  }, [clock]);
  return clockText((now - Date.parse(since)) / 1000);
}
