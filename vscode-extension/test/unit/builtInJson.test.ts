import assert from 'node:assert/strict';
import { test } from 'node:test';

import { withoutDoubles } from '../../src/server/builtInJson.js';

const FINDINGS = [{ code: 'syntax' }, { code: { value: 'duplicate-key' } }, { code: 'unknown-step' }, {}];

test('in JSON documents the editor marks syntax by itself', () => {
  assert.deepEqual(withoutDoubles(FINDINGS, 'json', true), [{ code: 'unknown-step' }, {}]);
});

test('in our own language, and where its JSON support is off, everything is ours to say', () => {
  assert.deepEqual(withoutDoubles(FINDINGS, 'dw-workflow', true), FINDINGS);
  assert.deepEqual(withoutDoubles(FINDINGS, 'json', false), FINDINGS);
});
