import type { Api } from '../api/client';
import { Problem } from '../api/problem';
import type { Frame } from '../events/frame';
import type { AudioReport, CallAudio } from '../media/call-audio';
import { Observable } from '../observable';
import type { HeldStore } from './held-store';
import type { Effect, Input } from './phone-input';
import { step } from './phone-machine';
import { freshPhone, heldCalls, type Phone as State } from './phone-state';
import type { ServerClock } from './server-clock';

/** What the phone needs of {@link CallAudio}. */
export type Audio = Pick<CallAudio, 'answer' | 'setMuted' | 'sendDigit' | 'close'>;
export type OpenAudio = (iceServers: Promise<RTCIceServer[]>, report: (news: AudioReport) => void) => Audio;

type CallsApi = Pick<Api, 'initiate' | 'answer' | 'reject' | 'terminate' | 'call' | 'iceServers'>;

/**
 * The shell of the phone machine: feeds it, does what it says, tells who listens. No decisions.
 *
 * Requests go out one after the other, so that a call is over at the server before the next one is asked for.
 */
export class Phone {
  readonly state: Observable<State>;
  #queue: Promise<void> = Promise.resolve();
  readonly #audio = new Map<number, Audio>();

  constructor(
    private readonly api: CallsApi,
    private readonly openAudio: OpenAudio,
    private readonly held: HeldStore,
    private readonly clock: ServerClock,
  ) {
    this.state = new Observable(freshPhone(held.read()));
  }

  /** What the events socket said. */
  readonly received = (frame: Frame): void => {
    if ('calls' in frame) {
      this.send({ type: 'SnapshotReceived', calls: frame.calls });
    } else if ('call' in frame) {
      this.clock.observe(frame.time);
      this.send({ type: 'CallChanged', call: frame.call });
    }
  };

  readonly send = (input: Input): void => {
    const { phone, effects } = step(this.state.get(), input);
    this.state.set(phone);
    this.held.write(heldCalls(phone));
    // At once: a browser may give the microphone only within the click that wants it.
    for (const effect of effects) this.#perform(effect);
  };

  /** Lets go of microphone and loudspeaker. The calls are the server's to end. */
  close(): void {
    for (const audio of this.#audio.values()) audio.close();
    this.#audio.clear();
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'OpenMicrophone':
        return this.#open(effect.turn);
      case 'CloseAudio':
        this.#audio.get(effect.turn)?.close();
        this.#audio.delete(effect.turn);
        return;
      case 'Initiate':
        return this.#request(
          async () => this.api.initiate(effect.number, effect.key),
          (result) => ({ type: 'Initiated', turn: effect.turn, number: effect.number, result }),
          (problem) => ({ type: 'InitiateFailed', turn: effect.turn, problem }),
        );
      case 'Answer':
        return this.#request(
          async () => this.#answer(effect),
          () => ({ type: 'Answered', turn: effect.turn }),
          (problem) => ({ type: 'AnswerFailed', turn: effect.turn, problem }),
        );
      case 'Reject':
        return this.#request(
          () => this.api.reject(effect.callId),
          () => ({ type: 'Terminated', callId: effect.callId, duration: 0 }),
          (problem) => ({ type: 'EndFailed', callId: effect.callId, problem }),
        );
      case 'Terminate':
        return this.#request(
          () => this.api.terminate(effect.callId),
          ({ duration }) => ({ type: 'Terminated', callId: effect.callId, duration }),
          (problem) => ({ type: 'EndFailed', callId: effect.callId, problem }),
        );
      case 'LookUp':
        return this.#request(
          () => this.api.call(effect.callId),
          (call) => ({ type: 'CallChanged', call }),
          (problem) => ({ type: 'LookFailed', callId: effect.callId, problem }),
        );
      case 'SetMuted':
        this.#audio.get(effect.turn)?.setMuted(effect.on);
        return;
      case 'SendDigit':
        if (!this.#audio.get(effect.turn)?.sendDigit(effect.digit))
          this.send({ type: 'DigitRefused', turn: effect.turn });
        return;
    }
  }

  #open(turn: number): void {
    this.#audio.get(turn)?.close();
    // Without the list a call between public addresses still works.
    const iceServers = this.api.iceServers().catch(() => []);
    const report = (news: AudioReport) => this.send({ ...news, turn });
    this.#audio.set(turn, this.openAudio(iceServers, report));
  }

  async #answer({ turn, callId, sessionId, offer }: Extract<Effect, { type: 'Answer' }>): Promise<void> {
    const audio = this.#audio.get(turn);
    if (!audio) throw new Problem(0, 'cancelled', 'the audio was closed');
    await this.api.answer(callId, sessionId, await audio.answer(offer));
  }

  #request<T>(ask: () => Promise<T>, done: (result: T) => Input, failed: (problem: Problem) => Input): void {
    this.#queue = this.#queue
      .then(ask)
      .then(done, (thrown: unknown) => failed(Problem.of(thrown)))
      .then(this.send);
  }
}
