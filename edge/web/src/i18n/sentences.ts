import type { Problem } from '../api/problem';
import type { Direction } from '../calls/call';
import { isCause } from '../calls/cause';
import type { KnownProblem, Messages } from './messages';

/** Why the call ended, for a person. */
export function causeSentence(messages: Messages, cause: string | null | undefined, direction: Direction): string {
  return isCause(cause ?? undefined)
    ? messages.causes[cause as keyof Messages['causes']][direction]
    : messages.causeUnknown;
}

/** What went wrong, for a person; the server's own words where we have none. */
export function problemSentence(messages: Messages, problem: Problem): string {
  const known: string | undefined = messages.problems[problem.code as KnownProblem];
  const sentence = known ?? (problem.message || messages.problems.failed);
  return problem.retryAfter === null ? sentence : `${sentence} ${messages.tryAgainIn(problem.retryAfter)}`;
}
