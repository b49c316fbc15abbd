import { expect, it } from 'vitest';
import { ServerClock } from '../calls/server-clock';
import { Api } from './client';

/** An API whose server answers in turn what it is given: a response, or an error for a broken line. */
function api(...answers: (Response | Error)[]) {
  const requests: { url: string; headers: Headers; body: unknown }[] = [];
  const tokens = { accessToken: async () => 'old', renewed: async (rejected: string) => `not ${rejected}` };
  const fetch = async (url: string, init: RequestInit) => {
    requests.push({ url, headers: init.headers as Headers, body: init.body });
    const answer = answers.shift();
    if (!(answer instanceof Response)) throw answer ?? new Error('asked too often');
    return answer;
  };
  return { api: new Api(tokens, fetch, new ServerClock()), requests };
}

const unauthorized = () =>
  Response.json({ error: 'unauthorized', message: 'Authentication required' }, { status: 401 });
const broken = () => new TypeError('no route');

it('a refused token is renewed once, and the request repeated', async () => {
  const { api: calls, requests } = api(unauthorized(), Response.json({ duration: 1 }));
  await calls.terminate('call_1');
  expect(requests.map(({ headers }) => headers.get('Authorization'))).toEqual(['Bearer old', 'Bearer not old']);
});

it('a second refusal is an error, not a loop', async () => {
  const { api: calls, requests } = api(unauthorized(), unauthorized());
  await expect(calls.terminate('call_1')).rejects.toMatchObject({ status: 401, code: 'unauthorized' });
  expect(requests).toHaveLength(2);
});

it('initiate is repeated with the same key when no response came, and only then', async () => {
  const { api: calls, requests } = api(broken(), Response.json({ call_id: 'call_1' }));
  expect(await calls.initiate('1002', 'k')).toEqual({ call_id: 'call_1' });
  expect(requests.map(({ headers }) => headers.get('Idempotency-Key'))).toEqual(['k', 'k']);
  expect(requests[0]?.body).toBe('{"phone_number":"1002"}');
  const refusing = api(Response.json({ error: 'unreachable' }, { status: 409 }));
  await expect(refusing.api.initiate('1002', 'k')).rejects.toMatchObject({ code: 'unreachable' });
});

it('terminate is not repeated by itself', async () => {
  const { api: calls, requests } = api(broken());
  await expect(calls.terminate('call_1')).rejects.toMatchObject({ status: 0, code: 'network' });
  expect(requests).toHaveLength(1);
});

it('an error that is no JSON is still a problem, with its Retry-After', async () => {
  const { api: calls } = api(new Response('<html>', { status: 502, headers: { 'Retry-After': '7' } }));
  await expect(calls.history(null)).rejects.toMatchObject({ status: 502, code: 'http_502', retryAfter: 7 });
});
