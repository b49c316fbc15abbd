import type { Initiated } from '../api/client';
import type { Problem } from '../api/problem';
import type { MicrophoneTrouble } from '../media/microphone';
import type { Call } from './call';
import type { AudioState } from './phone-state';

/** What is asked (imperative) and what happened (past tense). `turn` names the use of the line that it belongs to. */
export type Input =
  | { readonly type: 'Dial'; readonly number: string; readonly key: string }
  | { readonly type: 'Accept'; readonly callId: string }
  | { readonly type: 'Decline'; readonly callId: string }
  | { readonly type: 'HangUp' }
  | { readonly type: 'HangUpElsewhere'; readonly callId: string }
  | { readonly type: 'Mute'; readonly on: boolean }
  | { readonly type: 'Press'; readonly digit: string }
  | { readonly type: 'RetryMicrophone' }
  | { readonly type: 'Dismiss' }
  | { readonly type: 'SnapshotReceived'; readonly calls: readonly Call[] }
  | { readonly type: 'CallChanged'; readonly call: Call }
  | { readonly type: 'Initiated'; readonly turn: number; readonly number: string; readonly result: Initiated }
  | { readonly type: 'InitiateFailed'; readonly turn: number; readonly problem: Problem }
  | { readonly type: 'Answered'; readonly turn: number }
  | { readonly type: 'AnswerFailed'; readonly turn: number; readonly problem: Problem }
  | { readonly type: 'Terminated'; readonly callId: string; readonly duration: number }
  | { readonly type: 'EndFailed'; readonly callId: string; readonly problem: Problem }
  | { readonly type: 'LookFailed'; readonly callId: string; readonly problem: Problem }
  | { readonly type: 'MicrophoneOpened'; readonly turn: number }
  | { readonly type: 'MicrophoneFailed'; readonly turn: number; readonly trouble: MicrophoneTrouble }
  | { readonly type: 'AudioChanged'; readonly turn: number; readonly audio: AudioState }
  | { readonly type: 'AudioHeard'; readonly turn: number }
  | { readonly type: 'DigitRefused'; readonly turn: number };

/** What the shell shall do. */
export type Effect =
  | { readonly type: 'OpenMicrophone'; readonly turn: number }
  | { readonly type: 'CloseAudio'; readonly turn: number }
  | { readonly type: 'Initiate'; readonly turn: number; readonly number: string; readonly key: string }
  | {
      readonly type: 'Answer';
      readonly turn: number;
      readonly callId: string;
      readonly sessionId: string;
      readonly offer: string;
    }
  | { readonly type: 'Reject'; readonly callId: string }
  | { readonly type: 'Terminate'; readonly callId: string }
  | { readonly type: 'LookUp'; readonly callId: string }
  | { readonly type: 'SetMuted'; readonly turn: number; readonly on: boolean }
  | { readonly type: 'SendDigit'; readonly turn: number; readonly digit: string };
