// Builds the softphone into dist: index.html with hashed assets below /CRM_API/webphone/assets/, nothing inlined (the CSP forbids it).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  base: '/CRM_API/webphone/',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  test: { include: ['tests/unit/**/*.test.ts'], environment: 'node' },
});
