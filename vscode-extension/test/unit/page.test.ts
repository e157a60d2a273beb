import assert from 'node:assert/strict';
import { test } from 'node:test';

import { page } from '../../src/results/page.js';

const PAGE = page({
  source: 'vscode-resource:',
  nonce: 'abc',
  script: 'vscode-resource:/s.js',
  style: 'vscode-resource:/s.css',
});
const POLICY = /Content-Security-Policy" content="([^"]*)"/.exec(PAGE)?.[1] ?? '';

test('only the one script with the nonce may run, and nothing is loaded from elsewhere', () => {
  assert.match(POLICY, /default-src 'none'/);
  assert.match(POLICY, /script-src 'nonce-abc'/);
  assert.doesNotMatch(POLICY, /unsafe|https?:|\*/);
  assert.equal(PAGE.match(/<script/g)?.length, 1);
  assert.doesNotMatch(PAGE, /style=|\son\w+=/, 'no inline styles or handlers');
});

test('a screen reader finds the regions and hears of news', () => {
  assert.match(PAGE, /aria-live="polite"/);
  assert.match(PAGE, /role="listbox" aria-label=/);
  assert.match(PAGE, /<html lang="en">/);
});
