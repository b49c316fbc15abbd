/** Why there is no microphone. `insecure`: the page did not come over HTTPS, so the browser has none to give. */
export type MicrophoneTrouble = 'denied' | 'missing' | 'busy' | 'insecure' | 'failed';

/** @throws what `getUserMedia` throws; {@link troubleOf} names it */
export async function openMicrophone(): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new DOMException('no media devices', 'SecurityError');
  return navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
}

export function troubleOf(thrown: unknown): MicrophoneTrouble {
  switch (thrown instanceof DOMException ? thrown.name : '') {
    case 'NotAllowedError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    case 'SecurityError':
      return 'insecure';
    default:
      return 'failed';
  }
}
