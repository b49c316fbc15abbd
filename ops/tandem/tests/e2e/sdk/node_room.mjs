// Two participants of @livekit/rtc-node in one room: tones, data, text, leaving. Wants LIVEKIT_URL, LIVEKIT_API_KEY and
// LIVEKIT_API_SECRET. The exit code tells.
import {
  AudioFrame, AudioSource, AudioStream, LocalAudioTrack, Room, RoomEvent, TrackKind, TrackPublishOptions, TrackSource, dispose,
} from '@livekit/rtc-node';
import { say, token, until, url } from './tokens.mjs';

const RATE = 48_000;
const name = `node-${Date.now().toString(36)}`;

class Person {
  heard = {};
  data = [];
  texts = [];
  gone = [];

  constructor(identity, hertz) {
    Object.assign(this, { identity, hertz, room: new Room() });
    this.room.on(RoomEvent.TrackSubscribed, (track) => {
      if (track.kind === TrackKind.KIND_AUDIO) this.listen(track).catch(() => {});
    });
    this.room.on(RoomEvent.DataReceived, (bytes, from) => this.data.push(`${from?.identity}: ${new TextDecoder().decode(bytes)}`));
    this.room.on(RoomEvent.ParticipantDisconnected, (it) => this.gone.push(it.identity));
    this.room.registerTextStreamHandler('chat', async (reader, from) => this.texts.push([from.identity, await reader.readAll()]));
  }

  async listen(track) {
    let piece = [];
    for await (const frame of new AudioStream(track, RATE, 1)) {
      piece.push(...frame.data);
      if (piece.length < RATE / 2) continue;
      for (const hertz of [440, 1_000]) this.heard[hertz] = Math.max(this.heard[hertz] ?? 0, strength(piece, hertz));
      piece = [];
    }
  }

  async join() {
    await this.room.connect(url, token(this.identity, name), { autoSubscribe: true, dynacast: false });
    say(this.identity, 'is in');
    const source = new AudioSource(RATE, 1);
    const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE });
    await this.room.localParticipant.publishTrack(LocalAudioTrack.createAudioTrack('mic', source), options);
    say(this.identity, 'publishes');
    this.sing(source).catch(() => {});
  }

  async sing(source) {
    for (let at = 0; !this.isDone; at += 480) {
      const wave = Int16Array.from({ length: 480 }, (_, n) => 8_000 * Math.sin((2 * Math.PI * this.hertz * (at + n)) / RATE));
      await source.captureFrame(new AudioFrame(wave, RATE, 1, 480));
    }
  }
}

// The share of a tone in a piece of sound (Goertzel), 0..1.
function strength(samples, hertz) {
  const step = 2 * Math.cos((2 * Math.PI * hertz) / RATE);
  let [last, before, total] = [0, 0, 0];
  for (const sample of samples) {
    [last, before] = [sample + step * last - before, last];
    total += sample * sample;
  }
  const power = last * last + before * before - step * last * before;
  return total === 0 ? 0 : (2 * power) / (total * samples.length);
}

const [alice, bob] = [new Person('alice', 440), new Person('bob', 1_000)];
await alice.join();
await bob.join();
await until('bob hears alice', () => bob.heard[440] > 0.8);
await until('alice hears bob', () => alice.heard[1_000] > 0.8);
const me = alice.room.localParticipant;
await me.publishData(new TextEncoder().encode('hello'), { reliable: true });
await until('data', () => bob.data.includes('alice: hello'));
await me.sendText('a text', { topic: 'chat' });
await until('a text', () => bob.texts.some(([who, text]) => who === 'alice' && text === 'a text'));
alice.isDone = true;
await alice.room.disconnect();
await until('alice is gone', () => bob.gone.includes('alice'));
bob.isDone = true;
await bob.room.disconnect();
await dispose();
say('done');
process.exit(0);
