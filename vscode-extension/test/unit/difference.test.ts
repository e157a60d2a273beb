import assert from 'node:assert/strict';
import { test } from 'node:test';

import { differences, type Compared } from '../../src/results/difference.js';

const workflow = (steps: object[], variables: object = {}): string => JSON.stringify({ id: 'w', variables, steps });
const run = (text: string, more: Partial<Compared> = {}): Compared => ({ text, arguments: {}, seed: 7, ...more });
const DRAW = { name: 'draw', pipeline: { arguments: { steps: 20, sizes: [1, 2] } } };

test('equal runs differ nowhere, whatever their layout and comments', () => {
  const text = workflow([DRAW]);
  assert.deepEqual(differences(run(text), run(`// said\n${JSON.stringify(JSON.parse(text), null, 4)}`)), []);
});

test('a changed value is told at its place', () => {
  const other = { ...DRAW, pipeline: { arguments: { steps: 30, sizes: [1, 2] } } };
  assert.deepEqual(differences(run(workflow([DRAW])), run(workflow([other]))), [
    { place: 'steps › draw › pipeline › arguments › steps', left: '20', right: '30' },
  ]);
});

test('values that were given count, and the seed', () => {
  const text = workflow([DRAW], { prompt: 'a' });
  assert.deepEqual(differences(run(text), run(text, { arguments: { prompt: 'b' }, seed: 8 })), [
    { place: 'seed of the run', left: '7', right: '8' },
    { place: 'variables › prompt', left: 'a', right: 'b' },
  ]);
});

test('a step that is put before another one changes only its own place', () => {
  const first = { name: 'first', task: { command: 'x' } };
  const found = differences(run(workflow([DRAW])), run(workflow([first, DRAW])));
  assert(found.length > 0);
  assert(found.every(({ place, left }) => place.startsWith('steps › first') && left === undefined));
});

test('a text that cannot be read is compared as a whole', () => {
  assert.deepEqual(differences(run('{'), run('[')), [{ place: 'text', left: '{', right: '[' }]);
});
