import { isOver, type Call } from '../calls/call';
import type { HistoryPage } from '../api/client';

/** Ended calls, the latest first. */
export interface History {
  readonly calls: readonly Call[];
  /** Where the next page begins; `null` when all are here. */
  readonly cursor: string | null;
  readonly phase: 'loading' | 'ready' | 'failed';
}

export const EMPTY: History = { calls: [], cursor: null, phase: 'loading' };

/** A page that continues what is there. */
export function appended(history: History, page: HistoryPage): History {
  return { calls: merged(history.calls, page.calls), cursor: page.next_cursor, phase: 'ready' };
}

/** The first page again: what is further down stays, unless there is a gap in between. */
export function refreshed(history: History, page: HistoryPage): History {
  const meets = page.calls.some((call) => history.calls.some((known) => known.call_id === call.call_id));
  return meets ? { ...history, calls: merged(history.calls, page.calls), phase: 'ready' } : appended(EMPTY, page);
}

/** A call that just ended; its row may not be in the database yet. */
export function withEnded(history: History, call: Call): History {
  return isOver(call) ? { ...history, calls: merged(history.calls, [call]) } : history;
}

function merged(known: readonly Call[], told: readonly Call[]): readonly Call[] {
  const byId = new Map([...known, ...told.filter(isOver)].map((call) => [call.call_id, call]));
  return [...byId.values()].sort((a, b) => Date.parse(b.start_time) - Date.parse(a.start_time));
}

/** It rang here and was not answered. */
export function wasMissed(call: Call): boolean {
  return (
    call.direction === 'incoming' &&
    !call.answer_time &&
    call.cause !== 'declined' &&
    call.cause !== 'answered_elsewhere'
  );
}
