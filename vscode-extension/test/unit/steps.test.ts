import assert from 'node:assert/strict';
import { test } from 'node:test';

import { stepAt, type Lens } from '../../src/runs/steps.js';

const lens = (line: number, argument: object): Lens => ({
  range: { start: { line, character: 0 }, end: { line, character: 1 } },
  command: { command: 'dw.run', arguments: [argument] },
});
const LENSES = [
  lens(0, { uri: 'file:///a' }),
  lens(20, { uri: 'file:///a', step: 'second' }),
  lens(10, { uri: 'file:///a', step: 'first' }),
];

for (const [line, expected] of [
  [5, undefined],
  [10, 'first'],
  [19, 'first'],
  [20, 'second'],
  [99, 'second'],
] as const) {
  test(`at line ${line} stands ${expected ?? 'no step'}`, () => {
    assert.equal(stepAt(LENSES, line), expected);
  });
}

test('a step in the first line is found', () => {
  assert.equal(stepAt([lens(0, { step: 'only' })], 0), 'only');
});

test('lenses without a step are passed over', () => {
  assert.equal(stepAt([{ range: { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } } }], 3), undefined);
});
