import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { probe } from '../../src/server/probe.js';

const posix = { skip: process.platform === 'win32' };

/** Runs `use` with a program of this text. */
async function withProgram(text: string, mode: number, use: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'probe-'));
  try {
    const path = join(folder, 'python');
    writeFileSync(path, text);
    chmodSync(path, mode);
    await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a real Python says its version and where it is', posix, async () => {
  const python = await probe('python3');
  assert.equal(python.version[0], 3);
  assert.match(python.executable, /^\//);
});

test('a file that is not there', async () => {
  await assert.rejects(probe(join(tmpdir(), 'no', 'such', 'python')), { message: 'does not exist' });
});

test('a name that is not on the PATH', async () => {
  await assert.rejects(probe('no-such-python-anywhere'), { message: 'was not found' });
});

test('a program that fails is quoted with its last line', posix, async () => {
  await withProgram('#!/bin/sh\necho one >&2\necho "the reason" >&2\nexit 3\n', 0o755, (path) =>
    assert.rejects(probe(path), { message: 'does not run: the reason' }),
  );
});

test('a program that is no Python', posix, async () => {
  await withProgram('#!/bin/sh\necho hello\n', 0o755, (path) =>
    assert.rejects(probe(path), { message: 'is no Python: it answered "hello\\n"' }),
  );
});

test('JSON that does not answer the question is no Python either', posix, async () => {
  await withProgram('#!/bin/sh\necho \'["/x", "3.12"]\'\n', 0o755, (path) =>
    assert.rejects(probe(path), /is no Python/),
  );
});
