import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  candidatesOf,
  NoInterpreter,
  resolveInterpreter,
  type Candidate,
  type Interpreter,
  type Proposals,
} from '../../src/server/resolve.js';

const NOTHING: Proposals = { workspaceFolders: [], trusted: true, windows: false };

/** A machine on which only these interpreters run. */
function machine(versions: Readonly<Record<string, readonly [number, number, number]>>) {
  return (path: string): Promise<Interpreter> => {
    const version = versions[path];
    return version ? Promise.resolve({ executable: path, version }) : Promise.reject(new Error('does not exist'));
  };
}

const candidate = (path: string, demanded = false): Candidate => ({ path, source: `source of ${path}`, demanded });

test('the first candidate that runs is taken, with its source', async () => {
  const probe = machine({ '/b': [3, 12, 1], '/c': [3, 12, 1] });
  const resolved = await resolveInterpreter([candidate('/a'), candidate('/b'), candidate('/c')], probe);
  assert.equal(resolved.interpreter.executable, '/b');
  assert.equal(resolved.source, 'source of /b');
  assert.deepEqual(resolved.rejected, ['/a (source of /a): does not exist']);
});

test('a Python that is too old is passed over and named', async () => {
  const resolved = await resolveInterpreter(
    [candidate('/old'), candidate('/new')],
    machine({ '/old': [3, 9, 18], '/new': [3, 10, 0] }),
  );
  assert.equal(resolved.interpreter.executable, '/new');
  assert.match(resolved.rejected[0] ?? '', /is Python 3\.9\.18, but 3\.10 or newer is needed/);
});

test('Python 4 is newer than 3.10', async () => {
  const resolved = await resolveInterpreter([candidate('/four')], machine({ '/four': [4, 0, 0] }));
  assert.equal(resolved.interpreter.executable, '/four');
});

test('the one that the user demands is not replaced by another', async () => {
  await assert.rejects(
    resolveInterpreter([candidate('/demanded', true), candidate('/good')], machine({ '/good': [3, 12, 0] })),
    (error: unknown) => error instanceof NoInterpreter && error.message.includes('/demanded (source of /demanded)'),
  );
});

test('when none works, the message names each that was tried', async () => {
  await assert.rejects(resolveInterpreter([candidate('/a'), candidate('/b')], machine({})), (error: unknown) => {
    assert.ok(error instanceof NoInterpreter);
    assert.match(error.message, /No Python 3\.10 or newer was found.*\/a.*\/b/);
    return true;
  });
});

test('settings come before the editor, the editor before the workspace, the workspace before PATH', () => {
  const paths = candidatesOf({
    ...NOTHING,
    serverSetting: '/server',
    workerSetting: '/worker',
    editor: '/editor',
    workspaceFolders: ['/ws'],
  }).map(({ path }) => path);
  assert.deepEqual(paths, [
    '/server',
    '/worker',
    '/editor',
    '/ws/.venv/bin/python',
    '/ws/venv/bin/python',
    'python3',
    'python',
  ]);
});

test('only the setting of the server is demanded', () => {
  const all = candidatesOf({ ...NOTHING, serverSetting: '/server', workerSetting: '/worker', editor: '/editor' });
  assert.deepEqual(
    all.filter(({ demanded }) => demanded).map(({ path }) => path),
    ['/server'],
  );
});

test('every folder of the workspace is looked into', () => {
  const paths = candidatesOf({ ...NOTHING, workspaceFolders: ['/one', '/two'] }).map(({ path }) => path);
  assert.ok(paths.includes('/two/.venv/bin/python'));
});

test('nothing inside an untrusted workspace is run', () => {
  const paths = candidatesOf({
    ...NOTHING,
    editor: '/ws/env/bin/python',
    workspaceFolders: ['/ws'],
    trusted: false,
  }).map(({ path }) => path);
  assert.deepEqual(paths, ['python3', 'python']);
});

test('a folder whose name begins like the workspace is outside of it', () => {
  const paths = candidatesOf({ ...NOTHING, editor: '/ws2/python', workspaceFolders: ['/ws'], trusted: false });
  assert.ok(paths.some(({ path }) => path === '/ws2/python'));
});

test('Windows has other names', () => {
  const paths = candidatesOf({ ...NOTHING, workspaceFolders: ['C:\\ws'], windows: true }).map(({ path }) => path);
  assert.deepEqual(paths, ['C:\\ws\\.venv\\Scripts\\python.exe', 'C:\\ws\\venv\\Scripts\\python.exe', 'python', 'py']);
});
