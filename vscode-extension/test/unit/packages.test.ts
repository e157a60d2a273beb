import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  installation,
  listed,
  lookInto,
  workerRequirements,
  type WorkerInterpreter,
} from '../../src/server/packages.js';
import { workerCandidatesOf } from '../../src/server/resolve.js';

const PYTHON: WorkerInterpreter = {
  executable: '/v/bin/python',
  version: '3.12.1',
  missing: ['torch'],
  environment: true,
  managed: true,
  pip: true,
};

const NEEDED = ['torch>=2.4', 'diffusers>=0.35'];

test('what the worker needs is read from the metadata, and nothing else', () => {
  const metadata = [
    'Requires-Dist: pygls<3,>=2.1',
    "Requires-Dist: torch>=2.4; extra == 'worker'",
    "Requires-Dist: ray>=2.40; extra == 'ray'",
    'Requires-Dist: peft >=0.15 ; extra == "worker"',
  ].join('\n');
  assert.deepEqual(workerRequirements(metadata), ['torch>=2.4', 'peft>=0.15']);
});

test('an environment of the user gets the libraries itself', () => {
  const { commands, executable, reason } = installation(PYTHON, NEEDED, '/w', false);
  assert.equal(executable, '/v/bin/python');
  assert.equal(reason, undefined);
  assert.deepEqual(commands[0]?.slice(0, 4), ['/v/bin/python', '-m', 'pip', 'install']);
  assert(commands[0].includes('torch>=2.4'));
});

test("a system's Python is left alone: an environment is made for the workspace", () => {
  const system = { ...PYTHON, executable: '/usr/bin/python3', environment: false };
  const { commands, executable, reason } = installation(system, NEEDED, '/w', false);
  assert.equal(executable, '/w/.venv/bin/python');
  assert.deepEqual(commands[0], ['/usr/bin/python3', '-m', 'venv', '/w/.venv']);
  assert.equal(commands[1]?.[0], executable);
  assert.match(reason ?? '', /belongs to the system/);
  assert.equal(installation(system, NEEDED, 'C:\\w', true).executable, 'C:\\w\\.venv\\Scripts\\python.exe');
});

test('a Python that nobody manages takes packages, with pip made first where it has none', () => {
  const own = { ...PYTHON, environment: false, managed: false, pip: false };
  assert.deepEqual(installation(own, NEEDED, '/w', false).commands[0], ['/v/bin/python', '-m', 'ensurepip']);
});

test('a real interpreter says what it has', async () => {
  const found = await lookInto('python3');
  assert.match(found.version, /^3\.\d+\.\d+/);
  assert.equal(typeof found.environment, 'boolean');
  await assert.rejects(lookInto('/no/such/python'));
});

test('names are listed as people do', () => {
  assert.equal(listed(['torch']), 'torch');
  assert.equal(listed(['torch', 'diffusers', 'transformers']), 'torch, diffusers and transformers');
});

test("the worker's Python: what is set and nothing else, or the editor's, .venv, the server's own", () => {
  const around = { workspaceFolders: ['/w'], trusted: true, windows: false };
  assert.deepEqual(workerCandidatesOf({ ...around, workerSetting: '/set' }, '/s'), [
    { path: '/set', source: 'setting dw.worker.python', demanded: true },
  ]);
  assert.deepEqual(
    workerCandidatesOf({ ...around, editor: '/e' }, '/s').map(({ path }) => path),
    ['/e', '/w/.venv/bin/python', '/w/venv/bin/python', '/s'],
  );
});

test('no program of an untrusted workspace is looked at', () => {
  const around = { workspaceFolders: ['/w'], trusted: false, windows: false };
  assert.deepEqual(
    workerCandidatesOf(around, '/s').map(({ path }) => path),
    ['/s'],
  );
});
