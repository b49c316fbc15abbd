import { afterEach, expect, test, vi } from 'vitest';
import { CallAudio } from './call-audio';

const never = () => new Promise<never>(() => {});

afterEach(() => vi.unstubAllGlobals());

test('an answer under way ends with the audio, though a closed peer connection never settles its promises', async () => {
  const close = vi.fn();
  vi.stubGlobal('navigator', { mediaDevices: { getUserMedia: never } });
  vi.stubGlobal('RTCPeerConnection', function () {
    return { setRemoteDescription: async () => {}, createAnswer: never, close };
  });
  const audio = new CallAudio(Promise.resolve([]), () => {});
  const answer = audio.answer('v=0');
  await vi.waitFor(async () => {});
  audio.close();
  await expect(answer).rejects.toThrow('the audio was closed');
});
