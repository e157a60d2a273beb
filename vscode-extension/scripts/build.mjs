// Bundles the extension into dist/. `--watch` keeps doing so and leaves the code readable.
import { build, context } from 'esbuild';

const watch = process.argv.includes('--watch');
const options = {
  entryPoints: ['src/extension.ts'],
  outfile: 'dist/extension.js',
  bundle: true,
  platform: 'node',
  target: 'node18',
  format: 'cjs',
  external: ['vscode'],
  minify: !watch,
  sourcemap: watch,
  logLevel: 'info',
};
// The page of the Results view runs in a browser and is a file of its own.
const pageOptions = {
  ...options,
  entryPoints: ['src/webview/results.ts', 'src/webview/results.css'],
  outfile: undefined,
  outdir: 'dist',
  platform: 'browser',
  target: 'chrome114',
  format: 'iife',
  external: [],
};
for (const each of [options, pageOptions]) {
  if (watch) await (await context(each)).watch();
  else await build(each);
}
