// Two tabs of Chromium with livekit-client in one room: camera in three layers, microphone, screen, data, text, RPC,
// muting, a cut of the signalling, leaving. Wants LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET; the page is the
// node's own. The exit code tells. With `older` as
// its argument both have two connections, as older clients; with `mixed` the second one has.
import { chromium } from 'playwright-core';
import { createRequire } from 'node:module';
import { say, token, until, url } from './tokens.mjs';

const kind = process.argv[2];
const room = `js-${Date.now().toString(36)}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
    '--autoplay-policy=no-user-gesture-required',
    '--auto-select-desktop-capture-source=Entire screen',
  ],
});

try {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
  await context.addInitScript({ path: createRequire(import.meta.url).resolve('livekit-client').replace(/[^/]*$/, 'livekit-client.umd.js') });
  await context.addInitScript(begin);
  const [alice, bob] = [await join('alice', kind === 'older', context), await join('bob', Boolean(kind), context)];
  await media(alice, bob);
  await messages(alice, bob);
  await changes(alice, bob);
  await cut(alice, bob);
  await alice.evaluate(() => globalThis.room.disconnect());
  await until('bob is alone', () => bob.evaluate(() => globalThis.room.remoteParticipants.size === 0));
  say('done');
} finally {
  await browser.close();
}

async function join(identity, isOlder, context) {
  const page = await context.newPage();
  page.on('console', (message) => {
    if (process.env.VERBOSE || ['error', 'warning'].includes(message.type())) say(identity, message.type(), message.text().slice(0, 400));
  });
  await page.goto(url.replace(/^ws/, 'http'));
  await page.evaluate((all) => globalThis.enter(...all), [url, token(identity, room), isOlder]);
  say(identity, 'is in', isOlder ? 'with two connections' : '');
  await page.evaluate(() => globalThis.publish());
  say(identity, 'publishes');
  return page;
}

// Runs in every page before its own scripts.
function begin() {
  const seen = (globalThis.seen = { data: [], texts: [], events: [] });
  globalThis.enter = async (url, token, isOlder) => {
    const { Room, RoomEvent } = globalThis.LivekitClient;
    const room = (globalThis.room = new Room({ adaptiveStream: false, dynacast: false, singlePeerConnection: !isOlder }));
    room.on(RoomEvent.TrackSubscribed, (track) => {
      if (track.kind === 'audio') listen(track);
      const element = track.attach();
      element.muted = true;
      document.body.appendChild(element);
    });
    room.on(RoomEvent.DataReceived, (bytes, from, kind, topic) =>
      seen.data.push([new TextDecoder().decode(bytes), topic ?? '', from?.identity ?? '']));
    for (const event of ['reconnecting', 'signalReconnecting', 'reconnected', 'disconnected', 'trackMuted', 'trackUnmuted'])
      room.on(event, () => seen.events.push(event));
    room.registerTextStreamHandler('chat', async (reader, from) => seen.texts.push([await reader.readAll(), from.identity]));
    room.registerRpcMethod('double', async ({ payload }) => payload + payload);
    await room.connect(url, token);
  };
  // How loud a track was at its loudest, in dB.
  const loudest = new Map();
  function listen(track) {
    const audio = new AudioContext();
    const analyser = new AnalyserNode(audio, { fftSize: 2048 });
    audio.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    setInterval(() => {
      analyser.getFloatFrequencyData(bins);
      loudest.set(track.sid, Math.max(loudest.get(track.sid) ?? -200, ...bins));
    }, 50);
  }
  globalThis.publish = async () => {
    const me = globalThis.room.localParticipant;
    await me.setMicrophoneEnabled(true);
    await me.setCameraEnabled(true, { resolution: { width: 1280, height: 720 } }, { videoCodec: 'vp8', simulcast: true });
  };
  // What is received of each track.
  globalThis.received = async () => {
    const all = [];
    for (const person of globalThis.room.remoteParticipants.values())
      for (const publication of person.trackPublications.values()) {
        const stats = [...((await publication.track?.receiver?.getStats())?.values() ?? [])].find((it) => it.type === 'inbound-rtp');
        all.push({
          who: person.identity, source: publication.source, kind: publication.kind, isMuted: publication.isMuted,
          packets: stats?.packetsReceived ?? 0, lost: stats?.packetsLost ?? 0, frames: stats?.framesDecoded ?? 0,
          width: stats?.frameWidth ?? 0, level: Math.round(loudest.get(publication.trackSid) ?? -200),
        });
      }
    return all;
  };
}

async function media(alice, bob) {
  const has = (all, source, is) => all.some((it) => it.source === source && is(it));
  for (const [name, page] of Object.entries({ alice, bob })) {
    const received = () => page.evaluate(() => globalThis.received());
    await until(`${name} hears`, async () => has(await received(), 'microphone', (it) => it.packets > 50 && it.level > -60), received);
    await until(`${name} sees`, async () => has(await received(), 'camera', (it) => it.frames > 30), received);
    await until(`${name} sees the best layer`, async () => has(await received(), 'camera', (it) => it.width === 1280), received);
    say(name, JSON.stringify(await received()));
  }
  await alice.evaluate(() => globalThis.room.localParticipant.setScreenShareEnabled(true));
  await until('bob sees the screen', async () => has(await bob.evaluate(() => globalThis.received()), 'screen_share', (it) => it.frames > 0));
}

async function messages(alice, bob) {
  await alice.evaluate(async () => {
    const me = globalThis.room.localParticipant;
    const bytes = (text) => new TextEncoder().encode(text);
    await me.publishData(bytes('all'), { reliable: true, topic: 't' });
    await me.publishData(bytes('bob'), { reliable: true, destinationIdentities: ['bob'] });
    for (let n = 0; n < 20; n += 1) await me.publishData(bytes('lossy'), { reliable: false });
    await me.sendText('ёж '.repeat(20_000), { topic: 'chat' });
  });
  const seen = () => bob.evaluate(() => globalThis.seen);
  const data = (text, topic) => async () => (await seen()).data.some((it) => it[0] === text && it[1] === topic && it[2] === 'alice');
  await until('reliable data', data('all', 't'));
  await until('data for bob', data('bob', ''));
  await until('lossy data', data('lossy', ''));
  await until('a text stream', async () => (await seen()).texts.some(([text, who]) => text.length === 60_000 && who === 'alice'));
  const answer = await alice.evaluate(() => globalThis.room.localParticipant.performRpc({ destinationIdentity: 'bob', method: 'double', payload: 'ab' }));
  if (answer !== 'abab') throw new Error(`RPC: ${answer}`);
  say('seen: RPC');
}

async function changes(alice, bob) {
  const isMuted = async () => (await bob.evaluate(() => globalThis.received())).some((it) => it.source === 'microphone' && it.isMuted);
  await alice.evaluate(() => globalThis.room.localParticipant.setMicrophoneEnabled(false));
  await until('alice is muted', isMuted);
  await alice.evaluate(() => globalThis.room.localParticipant.setMicrophoneEnabled(true));
  await until('alice is not muted', async () => !(await isMuted()));
  await alice.evaluate(() => globalThis.room.localParticipant.setAttributes({ hand: 'up' }));
  await until('her hand', () => bob.evaluate(() => globalThis.room.remoteParticipants.get('alice').attributes.hand === 'up'));
}

// The socket of the signalling breaks: the client takes its place again, and media does not stop.
async function cut(alice, bob) {
  const frames = async () => (await bob.evaluate(() => globalThis.received())).find((it) => it.source === 'camera').frames;
  await alice.evaluate(() => globalThis.room.simulateScenario('signal-reconnect'));
  await until('alice is back', () => alice.evaluate(() => globalThis.seen.events.includes('reconnected') && globalThis.room.state === 'connected'));
  const before = await frames();
  await until('her pictures go on', async () => (await frames()) > before + 10);
  await alice.evaluate(() => globalThis.room.localParticipant.publishData(new TextEncoder().encode('again'), { reliable: true }));
  await until('her data too', async () => (await bob.evaluate(() => globalThis.seen)).data.some((it) => it[0] === 'again'));
  say('alice', JSON.stringify(await alice.evaluate(() => globalThis.seen.events)));
}
