/**
 * The interpreter that the user has chosen in the editor, from the Python Environments or the Python extension,
 * where one of them is installed; and news of another choice. Their interfaces are described here as far as they are
 * used, so that neither is a dependency.
 */
import * as vscode from 'vscode';

import { messageOf } from '../log.js';
import { withinTime } from '../timeLimit.js';

const TIME_LIMIT_MILLISECONDS = 5_000;

interface PythonEnvironmentsApi {
  getEnvironment(scope: vscode.Uri | undefined): Promise<EnvironmentOfEnvironments | undefined>;
  readonly onDidChangeEnvironment: vscode.Event<unknown>;
}

interface EnvironmentOfEnvironments {
  readonly execInfo?: { readonly run?: { readonly executable?: string } };
}

interface PythonApi {
  readonly environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(environment: { readonly path: string }): Promise<ResolvedEnvironment | undefined>;
    readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

interface ResolvedEnvironment {
  readonly executable: { readonly uri?: vscode.Uri };
}

/** One place that knows the user's choice. */
interface Source {
  readonly name: string;
  chosen(resource: vscode.Uri | undefined): Promise<string | undefined>;
  readonly onDidChange: vscode.Event<unknown>;
}

export class EditorPython implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  /** Another interpreter may have been chosen. */
  public readonly onDidChange = this.changed.event;
  private readonly subscriptions: { dispose(): unknown }[] = [this.changed];
  private sources: Promise<readonly Source[]> | undefined;

  public constructor(private readonly log: vscode.LogOutputChannel) {}

  /** Path of the chosen interpreter, `undefined` when no installed extension knows of one. */
  public async chosen(resource: vscode.Uri | undefined): Promise<string | undefined> {
    for (const source of await this.known()) {
      try {
        const path = await withinTime(source.chosen(resource), TIME_LIMIT_MILLISECONDS, 'It did not answer');
        this.log.info(`${source.name}: ${path ?? 'no interpreter chosen'}`);
        if (path !== undefined) return path;
      } catch (error) {
        this.log.warn(`${source.name} cannot be asked for its interpreter: ${messageOf(error)}`);
      }
    }
    return undefined;
  }

  public dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private known(): Promise<readonly Source[]> {
    this.sources ??= this.connect();
    return this.sources;
  }

  private async connect(): Promise<readonly Source[]> {
    const sources: Source[] = [];
    for (const [id, describe] of CONNECTIONS) {
      const extension = vscode.extensions.getExtension<unknown>(id);
      if (extension === undefined) continue;
      try {
        const source = describe(await withinTime(extension.activate(), TIME_LIMIT_MILLISECONDS, 'It was not ready'));
        this.subscriptions.push(
          source.onDidChange(() => {
            this.changed.fire();
          }),
        );
        sources.push(source);
      } catch (error) {
        this.log.warn(`${id} is installed but cannot be used: ${messageOf(error)}`);
      }
    }
    if (sources.length === 0) this.log.info('No Python extension to ask for an interpreter.');
    return sources;
  }
}

const CONNECTIONS: readonly [id: string, describe: (exported: unknown) => Source][] = [
  ['ms-python.vscode-python-envs', (exported) => fromEnvironments(exported as PythonEnvironmentsApi)],
  ['ms-python.python', (exported) => fromPython(exported as PythonApi)],
];

function fromEnvironments(api: PythonEnvironmentsApi): Source {
  return {
    name: 'Python Environments extension',
    onDidChange: api.onDidChangeEnvironment,
    chosen: async (resource) => (await api.getEnvironment(resource))?.execInfo?.run?.executable,
  };
}

function fromPython({ environments }: PythonApi): Source {
  return {
    name: 'Python extension',
    onDidChange: environments.onDidChangeActiveEnvironmentPath,
    chosen: async (resource) => {
      const environment = await environments.resolveEnvironment(environments.getActiveEnvironmentPath(resource));
      return environment?.executable.uri?.fsPath;
    },
  };
}
