/** What is to be heard besides the call. */
export type Tone = 'ring' | 'ringback' | null;

interface Cadence {
  /** Hz, sounded together. */
  readonly frequencies: readonly number[];
  /** Seconds of sound and of silence, in turn. */
  readonly pattern: readonly [on: number, off: number][];
  /** 0..=1 */
  readonly volume: number;
}

const CADENCES: Record<'ring' | 'ringback', Cadence> = {
  ring: {
    frequencies: [587, 784],
    pattern: [
      [0.4, 0.2],
      [0.4, 2],
    ],
    volume: 0.12,
  },
  // One second in five of 425 Hz is how ringing sounds in most of Europe (ITU-T E.180).
  ringback: { frequencies: [425], pattern: [[1, 4]], volume: 0.06 },
};

const RAMP_S = 0.02;

/** Ringtone and ringback tone, made by WebAudio: there is no file to load. */
export class Tones {
  #stop: AbortController | null = null;
  #playing: Tone = null;

  /** @param locks of several tabs that ring only one is heard */
  constructor(private readonly locks: LockManager | undefined) {}

  play(tone: Tone): void {
    if (tone === this.#playing) return;
    this.#playing = tone;
    this.#stop?.abort();
    this.#stop = null;
    if (!tone) return;
    const stop = new AbortController();
    this.#stop = stop;
    void this.#sound(CADENCES[tone], tone === 'ring', stop.signal);
  }

  async #sound(cadence: Cadence, alone: boolean, signal: AbortSignal): Promise<void> {
    const context = new AudioContext();
    signal.addEventListener('abort', () => void context.close());
    // Stays pending until the user has touched the page: a browser lets no other page make a noise.
    await context.resume().catch(() => undefined);
    if (signal.aborted) return;
    const play = () => repeat(context, cadence, signal);
    if (alone && this.locks) await this.locks.request('tandem.ring', { signal }, play).catch(() => undefined);
    else await play();
  }
}

async function repeat(context: AudioContext, cadence: Cadence, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let at = context.currentTime + 0.05;
    for (const [on, off] of cadence.pattern) {
      for (const frequency of cadence.frequencies) beep(context, frequency, cadence.volume, at, on);
      at += on + off;
    }
    await pause((at - context.currentTime) * 1000, signal);
  }
}

function beep(context: AudioContext, frequency: number, volume: number, at: number, seconds: number): void {
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(volume, at + RAMP_S);
  gain.gain.setValueAtTime(volume, at + seconds - RAMP_S);
  gain.gain.linearRampToValueAtTime(0, at + seconds);
  const oscillator = new OscillatorNode(context, { frequency });
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(at);
  oscillator.stop(at + seconds);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
