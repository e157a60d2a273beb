import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BadValue, promptOf, typed, valueOf, valuesOf, variablesOf, type Variable } from '../../src/runs/arguments.js';

const TEXT = `{
  // comments are fine
  "variables": { "prompt": "a, b", "steps": 20, "hires": false, "size": [1, 2], "strength": { "default": 0.5 } },
  "steps": [{ "name": "draw", "pipeline": { "arguments": { "prompt": "variable:prompt" } } }],
}`;
const [prompt, steps, hires, size] = variablesOf(TEXT) as [Variable, Variable, Variable, Variable, Variable];

test('variables have the kind of their default', () => {
  assert.deepEqual(
    variablesOf(TEXT).map(({ name, kind }) => [name, kind]),
    [
      ['prompt', 'text'],
      ['steps', 'number'],
      ['hires', 'boolean'],
      ['size', 'json'],
      ['strength', 'number'],
    ],
  );
});

test('a text that cannot be read has none', () => {
  assert.deepEqual(variablesOf('{ "variables": {'), []);
  assert.deepEqual(variablesOf('[]'), []);
});

test('what is typed becomes a value of the kind', () => {
  assert.equal(valueOf(prompt, ' 12 '), ' 12 ');
  assert.equal(valueOf(steps, ' 12 '), 12);
  assert.equal(valueOf(hires, 'true'), true);
  assert.deepEqual(valueOf(size, '[3]'), [3]);
  for (const variable of variablesOf(TEXT)) assert.deepEqual(valueOf(variable, typed(variable.value)), variable.value);
});

test('what cannot be a value is refused by name', () => {
  assert.throws(() => valueOf(steps, 'many'), /steps is a number/);
  assert.throws(() => valueOf(steps, ''), BadValue);
  assert.throws(() => valueOf(hires, 'yes'), /true or false/);
  assert.throws(() => valueOf(size, '[1'), /JSON/);
});

test('several numbers stand between commas or as a range', () => {
  assert.deepEqual(valuesOf(steps, '10, 20,30'), [10, 20, 30]);
  assert.deepEqual(valuesOf(steps, '1..4'), [1, 2, 3, 4]);
  assert.deepEqual(valuesOf(steps, '0.2..1..0.2'), [0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(valuesOf(steps, '-1..1'), [-1, 0, 1]);
});

test('prompts keep their commas and stand between bars', () => {
  assert.deepEqual(valuesOf(prompt, 'a cat, sitting | a dog '), ['a cat, sitting', 'a dog']);
});

test('no values, and far too many, are refused', () => {
  assert.throws(() => valuesOf(prompt, ' | '), /at least one/);
  assert.throws(() => valuesOf(steps, '1..1000'), /too many/);
  assert.throws(() => valuesOf(steps, '5..1'), BadValue);
});

test('the prompt is what was given, else the variable, else that of the first step', () => {
  assert.equal(promptOf(TEXT, {}), 'a, b');
  assert.equal(promptOf(TEXT, { prompt: 'c' }), 'c');
  assert.equal(
    promptOf(
      TEXT.replaceAll('prompt"', 'words"').replace('"words": "variable:prompt"', '"prompt": "variable:words"'),
      {},
    ),
    undefined,
  );
  const literal = '{ "steps": [{ "task": {} }, { "pipeline": { "arguments": { "prompt": "a lighthouse" } } }] }';
  assert.equal(promptOf(literal, {}), 'a lighthouse');
  const named =
    '{ "variables": { "words": "w" }, "steps": [{ "pipeline": { "arguments": { "prompt": "variable:words" } } }] }';
  assert.equal(promptOf(named, {}), 'w');
  assert.equal(promptOf('no json', {}), undefined);
});
