// Bundles the extension into dist/extension.js. `--watch` keeps doing so and leaves the code readable.
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
if (watch) await (await context(options)).watch();
else await build(options);
