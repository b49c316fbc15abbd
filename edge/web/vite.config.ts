import { defineConfig } from 'vite';

/** Where a node under development listens. */
const NODE = 'http://127.0.0.1:7880';

export default defineConfig({
  // Nothing inline: the page runs under `default-src 'self'`.
  build: { assetsInlineLimit: 0, target: 'es2022' },
  server: { proxy: { '/api': { target: NODE, ws: true }, '/.well-known': NODE } },
});
