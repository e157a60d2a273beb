// Makes dw-lsp-VERSION.vsix from what `bundle-server` and `build` have made. vsce comes from npm when it is needed:
// it is too heavy to be a development dependency.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

const VSCE = '@vscode/vsce@3.9.2';
const extension = path.dirname(import.meta.dirname);
const { name, version } = JSON.parse(readFileSync(path.join(extension, 'package.json'), 'utf8'));
const file = `${name}-${version}.vsix`;

const absent = ['bundled/__main__.py', 'dist/extension.js'].filter((one) => !existsSync(path.join(extension, one)));
if (absent.length > 0) {
  console.error(`Not there: ${absent.join(', ')}. Run "npm run bundle-server" and "npm run build" first.`);
  process.exit(1);
}
// What Python has compiled since, while the extension was tried out, is for one version of Python only.
for (const entry of readdirSync(path.join(extension, 'bundled'), { recursive: true, withFileTypes: true })) {
  if (entry.name === '__pycache__') rmSync(path.join(entry.path, entry.name), { recursive: true, force: true });
}
copyFileSync(path.join(path.dirname(extension), 'LICENSE'), path.join(extension, 'LICENSE'));

const args = [
  '--yes',
  VSCE,
  'package',
  '--no-dependencies',
  '--allow-missing-repository',
  '--no-rewrite-relative-links',
  '--out',
  file,
];
const windows = process.platform === 'win32';
const done = spawnSync(windows ? 'npx.cmd' : 'npx', args, { cwd: extension, stdio: 'inherit', shell: windows });
if (done.status !== 0) process.exit(done.status ?? 1);
console.log(path.join(extension, file));
