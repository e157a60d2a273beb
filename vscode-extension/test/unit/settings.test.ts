import assert from 'node:assert/strict';
import { test } from 'node:test';

import { expand, forServer, type Surroundings } from '../../src/settings.js';

const HERE: Surroundings = { home: '/home/me', workspaceFolder: '/ws', environment: { CONDA: '/opt/conda' } };

for (const [written, meant] of [
  ['~/venv/bin/python', '/home/me/venv/bin/python'],
  ['~', '/home/me'],
  ['~other/python', '~other/python'],
  ['/a/~/b', '/a/~/b'],
  ['${workspaceFolder}/.venv/bin/python', '/ws/.venv/bin/python'],
  ['${userHome}/x', '/home/me/x'],
  ['${env:CONDA}/bin/python', '/opt/conda/bin/python'],
  ['${env:NOT_SET}/bin', '/bin'],
  ['${unknown}/x', '${unknown}/x'],
  ['python3', 'python3'],
] as const) {
  test(`${written} means ${meant}`, () => {
    assert.equal(expand(written, HERE), meant);
  });
}

test('without a folder its variable stays, so that the error shows it', () => {
  assert.equal(expand('${workspaceFolder}/x', { ...HERE, workspaceFolder: undefined }), '${workspaceFolder}/x');
});

test('paths are written out wherever they stand', () => {
  const section = forServer(
    {
      worker: { python: '~/python', command: ['ssh', '${env:CONDA}'] },
      security: { allowedPaths: ['${workspaceFolder}/media'] },
      outputDirectory: '~/pictures',
    },
    HERE,
    true,
  );
  assert.deepEqual(section, {
    worker: { python: '/home/me/python', command: ['ssh', '/opt/conda'] },
    security: { allowedPaths: ['/ws/media'] },
    outputDirectory: '/home/me/pictures',
  });
});

test('what is left empty is not set', () => {
  const section = forServer({ worker: { python: '', command: [] } }, HERE, true);
  assert.deepEqual(section, { worker: { python: null, command: null } });
});

test('what only the extension needs is not sent', () => {
  const section = { server: { python: '/x' }, trace: { server: 'off' }, results: {}, run: { maxSeconds: 1 } };
  assert.deepEqual(forServer(section, HERE, true), { run: { maxSeconds: 1 } });
});

test('in an untrusted workspace no worker starts by itself', () => {
  const section = forServer({ worker: { prewarm: 'onOpen', environment: {} }, run: { onSave: true } }, HERE, false);
  assert.deepEqual(section, { worker: { prewarm: 'onRun', environment: {} }, run: { onSave: false } });
});

test('the settings of the editor are not changed', () => {
  const section = { worker: { python: '~/x' } };
  forServer(section, HERE, false);
  assert.deepEqual(section, { worker: { python: '~/x' } });
});

test('an absent section is an empty one', () => {
  assert.deepEqual(forServer(null, HERE, true), {});
});
