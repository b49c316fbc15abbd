// Drives one Chromium for the end-to-end tests: a line of JSON in, a line of JSON out.
//
//   node driver.mjs /path/to/tone.wav        what the microphone hears
//   {"id":1,"act":"open","tab":"one","url":"http://127.0.0.1:7880/"}  →  {"id":1,"ok":null}
//
// Everything that goes wrong comes back as {"id":…,"error":"…"}; the tests decide what that means.
import { chromium } from 'playwright-core';
import { createInterface } from 'node:readline';

const [tone] = process.argv.slice(2);
const server = await chromium.launchServer({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
    `--use-file-for-fake-audio-capture=${tone}`,
    '--autoplay-policy=no-user-gesture-required',
  ],
});
const browser = await chromium.connect(server.wsEndpoint());
const context = await browser.newContext({ permissions: ['microphone'], locale: 'en-US' });
await context.addInitScript(listenToPeers);
const tabs = new Map();

const acts = {
  async open({ tab, url }) {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => console.error(`${tab}: ${error}`));
    page.on('console', (message) => console.error(`${tab}: ${message.type()}: ${message.text()}`));
    tabs.set(tab, page);
    await page.goto(url);
  },
  reload: ({ tab }) => page(tab).reload().then(() => null),
  async close({ tab }) {
    await page(tab).close();
    tabs.delete(tab);
  },
  // As when the machine loses power.
  crash: () => void server.process().kill('SIGKILL'),
  fill: ({ tab, test, text }) => page(tab).getByTestId(test).fill(text),
  click: ({ tab, test }) => page(tab).getByTestId(test).first().click(),
  press: ({ tab, key }) => page(tab).keyboard.press(key),
  write: ({ tab, text }) => page(tab).keyboard.type(text),
  text: ({ tab, test }) => page(tab).getByTestId(test).first().textContent({ timeout: 1_000 }),
  count: ({ tab, test }) => page(tab).getByTestId(test).count(),
  attribute: ({ tab, test, name }) => page(tab).getByTestId(test).first().getAttribute(name, { timeout: 1_000 }),
  // The pitch that is loudest in what comes from the far end, in Hz, and for how long it was heard.
  hears: ({ tab, hertz }) => page(tab).evaluate((hertz) => globalThis.__heard(hertz), hertz),
  stats: ({ tab }) => page(tab).evaluate(() => globalThis.__stats()),
};

function page(tab) {
  const found = tabs.get(tab);
  if (!found) throw new Error(`no tab ${tab}`);
  return found;
}

// Runs in the page, before its own scripts: keeps every peer connection, and listens to what it receives.
function listenToPeers() {
  const peers = [];
  const seconds = new Map();
  const Original = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Original {
    constructor(...settings) {
      super(...settings);
      peers.push(this);
      this.addEventListener('track', ({ track }) => listen(track));
    }
  };

  function listen(track) {
    const audio = new AudioContext();
    const analyser = new AnalyserNode(audio, { fftSize: 4096, smoothingTimeConstant: 0 });
    audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    const step = 100;
    setInterval(() => {
      analyser.getFloatFrequencyData(bins);
      const loudest = bins.indexOf(Math.max(...bins));
      if (!(bins[loudest] > -60)) return;
      const hertz = (loudest * audio.sampleRate) / analyser.fftSize;
      const pitch = Math.round(hertz / 20) * 20;
      seconds.set(pitch, (seconds.get(pitch) ?? 0) + step / 1_000);
    }, step);
  }

  globalThis.__heard = (hertz) => {
    let heard = 0;
    for (const [pitch, time] of seconds) if (Math.abs(pitch - hertz) <= 40) heard += time;
    return { seconds: heard, all: Object.fromEntries(seconds) };
  };

  globalThis.__stats = async () => {
    const last = peers.at(-1);
    if (!last) return null;
    const all = [...(await last.getStats()).values()];
    const of = (type) => all.find((it) => it.type === type) ?? {};
    const inbound = of('inbound-rtp');
    const codec = all.find((it) => it.id === inbound.codecId) ?? {};
    return {
      state: last.connectionState,
      peers: peers.length,
      received: inbound.packetsReceived ?? 0,
      lost: inbound.packetsLost ?? 0,
      concealed: inbound.concealedSamples ?? 0,
      silentConcealed: inbound.silentConcealedSamples ?? 0,
      sent: of('outbound-rtp').packetsSent ?? 0,
      codec: codec.mimeType ?? null,
      cipher: of('transport').srtpCipher ?? null,
      dtlsRole: of('transport').dtlsRole ?? null,
    };
  };
}

console.log(JSON.stringify({ id: 0, ok: 'ready' }));
for await (const line of createInterface({ input: process.stdin })) {
  const { id, act, ...what } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ id, ok: (await acts[act](what)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ id, error: String(error) }));
  }
}
await server.kill();
process.exit(0);
