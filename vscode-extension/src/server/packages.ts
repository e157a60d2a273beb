/**
 * What a Python has of the libraries that the worker imports, and how they would get into it. The first half asks an
 * interpreter; the second is pure. Knows no editor.
 */
import { execFile } from 'node:child_process';
import * as path from 'node:path';

/** What the worker needs: the requirements of the extra `worker` in the metadata of a distribution. */
export function workerRequirements(metadata: string): readonly string[] {
  return [...metadata.matchAll(/^Requires-Dist: ([^;\r\n]+); *extra *== *['"]worker['"]\r?$/gm)].map((found) =>
    (found[1] ?? '').replace(/\s+/g, ''),
  );
}

/** Without these nothing can be run; names as they are imported. */
const NEEDED = ['torch', 'diffusers', 'transformers'];
const TIME_LIMIT_MILLISECONDS = 15_000;

/** Imports nothing of what it looks for, so it answers at once and cannot fail with it. */
const QUESTION = `
import importlib.util, json, os, sys, sysconfig
found = lambda name: importlib.util.find_spec(name) is not None
managed = os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
print(json.dumps({
    "executable": sys.executable,
    "version": ".".join(map(str, sys.version_info[:3])),
    "missing": [name for name in sys.argv[1:] if not found(name)],
    "environment": sys.prefix != sys.base_prefix,
    "managed": managed,
    "pip": found("pip"),
}))
`;

/** An interpreter, seen as that of the worker. */
export interface WorkerInterpreter {
  readonly executable: string;
  readonly version: string;
  /** Libraries that it lacks and that nothing runs without. */
  readonly missing: readonly string[];
  /** It is that of a virtual environment. */
  readonly environment: boolean;
  /** The system's package manager owns it and lets nobody else install into it. */
  readonly managed: boolean;
  readonly pip: boolean;
}

/** Asks an interpreter. Throws an error whose message is a reason for people. */
export function lookInto(executable: string): Promise<WorkerInterpreter> {
  return new Promise((resolve, reject) => {
    const options = { timeout: TIME_LIMIT_MILLISECONDS, windowsHide: true, env: ownEnvironment() };
    execFile(executable, ['-c', QUESTION, ...NEEDED], options, (error, stdout, stderr) => {
      if (error !== null) {
        reject(new Error(`does not run: ${stderr.trim().split('\n').at(-1) ?? error.message}`));
        return;
      }
      try {
        resolve({ ...(JSON.parse(stdout) as WorkerInterpreter) });
      } catch {
        reject(new Error(`is no Python: it answered ${JSON.stringify(stdout.slice(0, 80))}`));
      }
    });
  });
}

/** What points to the library of one Python is a danger to another. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  for (const name of ['PYTHONHOME', 'PYTHONPATH', '__PYVENV_LAUNCHER__']) Reflect.deleteProperty(environment, name);
  return environment;
}

/** `torch`, `torch and diffusers`, `torch, diffusers and transformers`. */
export function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? '';
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
}

/** Commands that install the libraries, and the interpreter that has them afterwards. */
export interface Installation {
  readonly commands: readonly (readonly [program: string, ...args: string[]])[];
  readonly executable: string;
  /** Why not simply into the interpreter, for the user; `undefined` when it is. */
  readonly reason: string | undefined;
}

/**
 * @param requirements what is installed, as pip takes it
 * @param folder where a virtual environment is made if the interpreter takes no packages
 * @param windows whether programs of an environment stand in `Scripts`
 */
export function installation(
  into: WorkerInterpreter,
  requirements: readonly string[],
  folder: string,
  windows: boolean,
): Installation {
  const install = ['-m', 'pip', 'install', ...requirements];
  const takesPackages = into.environment || !into.managed;
  if (takesPackages) {
    const withPip = into.pip ? [] : [[into.executable, '-m', 'ensurepip'] as const];
    return { commands: [...withPip, [into.executable, ...install]], executable: into.executable, reason: undefined };
  }
  const paths = windows ? path.win32 : path.posix;
  const environment = paths.join(folder, '.venv');
  const executable = paths.join(environment, ...(windows ? ['Scripts', 'python.exe'] : ['bin', 'python']));
  return {
    commands: [
      [into.executable, '-m', 'venv', environment],
      [executable, ...install],
    ],
    executable,
    reason: `${into.executable} belongs to the system, which lets nothing be installed into it. A virtual environment is made in ${environment}.`,
  };
}
