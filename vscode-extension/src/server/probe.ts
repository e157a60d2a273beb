/**
 * Asks a Python interpreter what it is, by running it once without its packages. Knows no editor.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';

import type { Interpreter } from './resolve.js';

const TIME_LIMIT_MILLISECONDS = 10_000;
const QUESTION = 'import json, sys; print(json.dumps([sys.executable, list(sys.version_info[:3])]))';

/** The interpreter at `path` (or found on PATH by that name). Throws an error whose message is a reason for people. */
export function probe(path: string): Promise<Interpreter> {
  if (isAbsolute(path) && !existsSync(path)) return Promise.reject(new Error('does not exist'));
  return new Promise((resolve, reject) => {
    const options = { timeout: TIME_LIMIT_MILLISECONDS, windowsHide: true };
    execFile(path, ['-S', '-E', '-c', QUESTION], options, (error, stdout, stderr) => {
      if (error) {
        reject(new Error(reasonOf(error, stderr)));
        return;
      }
      const interpreter = read(stdout, path);
      if (interpreter) resolve(interpreter);
      else reject(new Error(`is no Python: it answered ${JSON.stringify(stdout.slice(0, 80))}`));
    });
  });
}

function reasonOf(error: Error & { code?: unknown; killed?: boolean }, stderr: string): string {
  if (error.killed === true) return `did not answer within ${TIME_LIMIT_MILLISECONDS / 1000} s`;
  if (error.code === 'ENOENT') return 'was not found';
  if (error.code === 'EACCES') return 'may not be executed';
  const lastLine = stderr.trim().split('\n').at(-1) ?? '';
  return `does not run: ${lastLine === '' ? error.message : lastLine}`;
}

/** `null` when the answer is not that of our question. An embedded Python may not know its own path. */
function read(answer: string, path: string): Interpreter | null {
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    return null;
  }
  if (!Array.isArray(value)) return null;
  const [executable, version] = value as [unknown, unknown];
  if (!Array.isArray(version) || !version.every((part) => typeof part === 'number')) return null;
  const [major = 0, minor = 0, micro = 0] = version;
  const known = typeof executable === 'string' && executable !== '';
  return { executable: known ? executable : path, version: [major, minor, micro] };
}
