import type { AudioState } from '../calls/phone-state';
import { openMicrophone, troubleOf, type MicrophoneTrouble } from './microphone';

/** What the audio of a call has to say; inputs of the phone machine but for their turn. */
export type AudioReport =
  | { readonly type: 'MicrophoneOpened' }
  | { readonly type: 'MicrophoneFailed'; readonly trouble: MicrophoneTrouble }
  | { readonly type: 'AudioChanged'; readonly audio: AudioState }
  | { readonly type: 'AudioHeard' };

/** How often to look whether the other side is heard. */
const LISTEN_MS = 250;
/** A tone long enough for every gateway, and the pause after it (RFC 4733 recommends at least 40 ms each). */
const TONE_MS = 160;
const GAP_MS = 70;

/**
 * Microphone, connection and loudspeaker of one call. The server offers, we answer.
 *
 * # Invariants
 * * Nothing is reported after `close`, and no device stays open, also when permission comes after it.
 */
export class CallAudio {
  #microphone: MediaStream | null = null;
  #peer: RTCPeerConnection | null = null;
  #loudspeaker: HTMLAudioElement | null = null;
  #listening: ReturnType<typeof setInterval> | undefined;
  #muted = false;
  readonly #closing = new AbortController();

  /** Asks for the microphone at once: call it within the user's click. */
  constructor(
    private readonly iceServers: Promise<RTCIceServer[]>,
    private readonly report: (news: AudioReport) => void,
  ) {
    openMicrophone().then(
      (stream) => this.#opened(stream),
      (thrown: unknown) => this.#say({ type: 'MicrophoneFailed', trouble: troubleOf(thrown) }),
    );
  }

  /**
   * Our answer to the server's offer. It needs no candidates of ours: an ICE-lite server learns where we are from our
   * checks.
   *
   * @throws DOMException when the browser cannot make sense of the offer, or the audio is closed meanwhile
   */
  async answer(offer: string): Promise<string> {
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    // A peer connection that is closed leaves its own promises open for ever.
    const closed = new Promise<never>((_, reject) => {
      closing.addEventListener('abort', () => reject(closing.reason));
    });
    return Promise.race([closed, this.#negotiate(offer)]);
  }

  setMuted(on: boolean): void {
    this.#muted = on;
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !on;
  }

  /** `false` when this call cannot carry digits: the other side agreed on no telephone-event. */
  sendDigit(digit: string): boolean {
    const dtmf = this.#peer?.getSenders().find((sender) => sender.dtmf)?.dtmf;
    if (!dtmf?.canInsertDTMF) return false;
    // insertDTMF replaces what has not been sent yet.
    dtmf.insertDTMF(dtmf.toneBuffer + digit, TONE_MS, GAP_MS);
    return true;
  }

  close(): void {
    this.#closing.abort(new DOMException('the audio was closed', 'AbortError'));
    clearInterval(this.#listening);
    this.#peer?.close();
    this.#loudspeaker?.remove();
    stop(this.#microphone);
  }

  async #negotiate(offer: string): Promise<string> {
    const peer = new RTCPeerConnection({ iceServers: await this.iceServers, bundlePolicy: 'max-bundle' });
    if (this.#closed) peer.close();
    this.#peer = peer;
    peer.ontrack = ({ track, receiver }) => this.#play(track, receiver);
    peer.onconnectionstatechange = () => this.#connection(peer.connectionState);
    await peer.setRemoteDescription({ type: 'offer', sdp: offer });
    for (const track of this.#microphone?.getAudioTracks() ?? []) peer.addTrack(track);
    await peer.setLocalDescription(await peer.createAnswer());
    return peer.localDescription?.sdp ?? '';
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  #opened(stream: MediaStream): void {
    if (this.#closed) return stop(stream);
    this.#microphone = stream;
    this.setMuted(this.#muted);
    this.#say({ type: 'MicrophoneOpened' });
  }

  #play(track: MediaStreamTrack, receiver: RTCRtpReceiver): void {
    if (this.#closed || track.kind !== 'audio') return;
    const loudspeaker = document.createElement('audio');
    loudspeaker.autoplay = true;
    loudspeaker.srcObject = new MediaStream([track]);
    document.body.append(loudspeaker);
    this.#loudspeaker?.remove();
    this.#loudspeaker = loudspeaker;
    this.#listening = setInterval(() => {
      if (receiver.getSynchronizationSources().length === 0) return;
      clearInterval(this.#listening);
      this.#say({ type: 'AudioHeard' });
    }, LISTEN_MS);
  }

  #connection(state: RTCPeerConnectionState): void {
    const audio = AUDIO_STATE[state];
    if (audio) this.#say({ type: 'AudioChanged', audio });
  }

  #say(news: AudioReport): void {
    if (!this.#closed) this.report(news);
  }
}

const AUDIO_STATE: Record<RTCPeerConnectionState, AudioState | null> = {
  new: null,
  connecting: 'connecting',
  connected: 'connected',
  disconnected: 'interrupted',
  failed: 'failed',
  closed: null,
};

function stop(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
