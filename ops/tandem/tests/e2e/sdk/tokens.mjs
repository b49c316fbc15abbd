// Access tokens, as an application's server signs them.
import { createHmac } from 'node:crypto';

export const url = process.env.LIVEKIT_URL;
const { LIVEKIT_API_KEY: key, LIVEKIT_API_SECRET: secret } = process.env;

export function token(identity, room, grants = {}) {
  const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const video = { roomJoin: true, room, canUpdateOwnMetadata: true, ...grants };
  const body = `${text({ alg: 'HS256', typ: 'JWT' })}.${text({ iss: key, sub: identity, name: identity, nbf: now, exp: now + 3600, video })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

const start = Date.now();

export function say(...words) {
  console.log(((Date.now() - start) / 1000).toFixed(2).padStart(7), ...words);
}

// Far longer than anything takes: the machine may be busy.
export async function until(what, isSo, detail = () => '', patience = 60_000) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await isSo();
    if (found) return say('seen:', what);
    if (Date.now() > end) throw new Error(`in vain: ${what} ${JSON.stringify(await detail())}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
