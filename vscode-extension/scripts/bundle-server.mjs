// Fills bundled/ with the language server: this project's package and its pure-Python dependencies, for any Python
// from 3.10 on any system. PYTHON names the interpreter to use (default python3); it needs pip or venv, nothing else.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const extension = path.dirname(import.meta.dirname);
const project = path.dirname(extension);
const bundle = path.join(extension, 'bundled');
const windows = process.platform === 'win32';

/** What runs when an interpreter is given the folder as its program. */
const MAIN = `"""Runs the bundled language server: \`python -S -E bundled serve --stdio\`."""

import sys

from dw_lsp.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
`;

class Failed extends Error {}

function run(command, args, { quiet = false } = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  if (done.error) throw new Failed(`${command}: ${done.error.message}`);
  if (done.status === 0) return done.stdout;
  if (quiet) return null;
  throw new Failed(`${[command, ...args].join(' ')}\nended with code ${done.status}:\n${done.stdout}${done.stderr}`);
}

/** An interpreter that has pip: the given one, or a temporary environment made with it. */
function pythonWithPip(scratch) {
  const python = process.env.PYTHON || (windows ? 'python' : 'python3');
  // Seen from the top of the repository, where `make` may have been told `.venv/bin/python`.
  const given = /[/\\]/.test(python) ? path.resolve(project, python) : python;
  if (run(given, ['-m', 'pip', '--version'], { quiet: true }) !== null) return given;
  const folder = path.join(scratch, 'python');
  run(given, ['-m', 'venv', folder]);
  return path.join(folder, ...(windows ? ['Scripts', 'python.exe'] : ['bin', 'python']));
}

function install(python, target, scratch) {
  const pip = ['-m', 'pip', '--disable-pip-version-check'];
  const wheels = path.join(scratch, 'wheels');
  run(python, [...pip, 'wheel', '--quiet', '--no-deps', '--wheel-dir', wheels, project]);
  const wheel = readdirSync(wheels).find((name) => name.startsWith('dw_lsp-'));
  const anywhere = [
    '--only-binary=:all:',
    '--platform=any',
    '--implementation=py',
    '--abi=none',
    '--python-version=3.10',
  ];
  const requirements = path.join(extension, 'server-requirements.txt');
  const what = ['--no-deps', '--no-compile', '--target', target, '-r', requirements, path.join(wheels, wheel)];
  run(python, [...pip, 'install', '--quiet', ...anywhere, ...what]);
}

/** Drops what tells of this machine or is of no use without pip. */
function tidy(target) {
  rmSync(path.join(target, 'bin'), { recursive: true, force: true });
  for (const name of readdirSync(target).filter((one) => one.endsWith('.dist-info'))) {
    for (const file of ['direct_url.json', 'RECORD', 'REQUESTED', 'INSTALLER']) {
      rmSync(path.join(target, name, file), { force: true });
    }
  }
}

/** The server and the extension have one version; the server must answer in an interpreter without any packages. */
function check(python, target) {
  const own = JSON.parse(readFileSync(path.join(extension, 'package.json'), 'utf8')).version;
  const question = `import sys; sys.path.insert(0, sys.argv[1]); import dw_lsp, pygls, lsprotocol.types; print(dw_lsp.__version__)`;
  const server = run(python, ['-S', '-E', '-B', '-c', question, target]).trim();
  if (server !== own) {
    throw new Failed(`package.json has version ${own}, dw_lsp/__init__.py has ${server}: make them equal.`);
  }
  return server;
}

const scratch = mkdtempSync(path.join(tmpdir(), 'dw-lsp-bundle-'));
try {
  const python = pythonWithPip(scratch);
  const target = path.join(extension, 'bundled.new');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  install(python, target, scratch);
  tidy(target);
  writeFileSync(path.join(target, '__main__.py'), MAIN);
  const version = check(python, target);
  rmSync(bundle, { recursive: true, force: true });
  renameSync(target, bundle);
  console.log(`bundled/ holds the server, version ${version}: ${readdirSync(bundle).join(' ')}`);
} catch (error) {
  if (!(error instanceof Failed)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
