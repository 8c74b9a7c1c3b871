// Builds the softphone into dist: index.html with hashed assets below /CRM_API/webphone/assets/, nothing inlined (the CSP forbids it), and
// beside each asset what is sent to browsers that take it compressed: on slow lines a click rings seconds earlier.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { defineConfig } from 'vitest/config';

function compress(folder: string): void {
  for (const name of readdirSync(folder)) {
    const plain = readFileSync(`${folder}/${name}`);
    for (const [ending, packed] of [['br', brotliCompressSync(plain)], ['gz', gzipSync(plain, { level: 9 })]] as const) {
      if (packed.length < plain.length) writeFileSync(`${folder}/${name}.${ending}`, packed);
    }
  }
}

export default defineConfig({
  base: '/CRM_API/webphone/',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  plugins: [{ name: 'compressed', apply: 'build', closeBundle: () => compress('dist/assets') }],
  test: { include: ['tests/unit/**/*.test.ts'], environment: 'node' },
});
