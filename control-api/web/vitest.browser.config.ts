// Tests of the built page in real Chromium against a small stand-in for the session API. A busy machine may cost one of them a second try.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['tests/browser/**/*.test.ts'], environment: 'node', testTimeout: 60_000, hookTimeout: 30_000, fileParallelism: false, retry: 1 },
});
