import type { Cause } from '../calls/cause';
import type { Direction } from '../calls/call';
import type { Connection } from '../events/events';
import type { MicrophoneTrouble } from '../media/microphone';

/** Every text of the page. A language that misses one does not compile. */
export interface Messages {
  readonly language: string;
  readonly signIn: {
    readonly title: string;
    readonly lead: string;
    readonly name: string;
    readonly password: string;
    readonly submit: string;
    readonly busy: string;
    readonly out: string;
  };
  readonly navigation: { readonly label: string; readonly calls: string; readonly skip: string };
  readonly connection: Record<Connection, string>;
  readonly phone: {
    readonly heading: string;
    readonly number: string;
    readonly numberHint: string;
    readonly numberMissing: string;
    readonly call: string;
    readonly callAgain: string;
    readonly keypad: string;
    readonly erase: string;
    readonly digit: (digit: string) => string;
    readonly dialling: string;
    readonly ringing: string;
    readonly accepted: string;
    readonly talking: string;
    readonly hangingUp: string;
    readonly ended: string;
    readonly hangUp: string;
    readonly decline: string;
    readonly accept: string;
    readonly acceptEndsOther: string;
    readonly mute: string;
    readonly muted: string;
    readonly dismiss: string;
    readonly timer: string;
    readonly digitsSent: (digits: string) => string;
    readonly digitsRefused: string;
    readonly keysHint: string;
    readonly incoming: (peer: string) => string;
    readonly incomingLabel: string;
    readonly elsewhere: string;
    readonly onOtherDevice: string;
    readonly audioLost: string;
    readonly hangUpNamed: (peer: string) => string;
  };
  readonly audio: { readonly connecting: string; readonly interrupted: string; readonly failed: string };
  readonly microphone: Record<MicrophoneTrouble, string> & { readonly retry: string; readonly asked: string };
  readonly history: {
    readonly heading: string;
    readonly empty: string;
    readonly loading: string;
    readonly more: string;
    readonly retry: string;
    readonly outgoing: string;
    readonly incoming: string;
    readonly missed: string;
    readonly redial: (peer: string) => string;
  };
  /** A sentence for each way a call can end, as seen by the one who made it and the one who was called. */
  readonly causes: Record<Cause, Record<Direction, string>>;
  readonly causeUnknown: string;
  /** By the server's `error`. What is missing here is told in the server's words. */
  readonly problems: Readonly<Record<KnownProblem, string>>;
  readonly tryAgainIn: (seconds: number) => string;
}

export type KnownProblem =
  | 'invalid_credentials'
  | 'rate_limited'
  | 'network'
  | 'call_already_active'
  | 'call_not_found'
  | 'call_ended'
  | 'call_initiation_failed'
  | 'call_termination_failed'
  | 'forbidden'
  | 'invalid_sdp'
  | 'unknown_number'
  | 'unreachable'
  | 'validation_error'
  | 'failed';
