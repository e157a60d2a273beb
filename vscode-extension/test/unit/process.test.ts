import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ServerProcess } from '../../src/server/process.js';

const node = (code: string): ServerProcess =>
  new ServerProcess({ command: process.execPath, args: ['-e', code] }, undefined);

test('the end is told with the code and the last words', async () => {
  const server = node('console.error("first"); console.error("no module named pygls"); process.exitCode = 3');
  assert.equal(await server.ended, 'it ended with code 3: no module named pygls');
});

test('a process that is ended names the signal', { skip: process.platform === 'win32' }, async () => {
  const server = node('setInterval(() => {}, 1000)');
  server.kill();
  assert.equal(await server.ended, 'it was ended by SIGKILL');
});

test('a program that is not there is an answer, not an exception', async () => {
  const server = new ServerProcess({ command: '/no/such/python', args: [] }, undefined);
  assert.match(await server.ended, /^\/no\/such\/python could not be started: .*ENOENT/);
});

test('ending a process twice does nothing', async () => {
  const server = node('');
  await server.ended;
  server.kill();
  assert.equal(await server.ended, 'it ended with code 0');
});
