/**
 * Keeps the worker in the right Python: finds it, says what it lacks with a way to mend that, and has the worker start
 * anew, once, when it is another one. Knows no runs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import * as vscode from 'vscode';

import type { Buttons, Log } from '../log.js';
import { pathSetting, surroundings } from './client.js';
import type { Interpreters } from './interpreters.js';
import { installInTerminal } from './installTerminal.js';
import { installation, listed, workerRequirements, type WorkerInterpreter } from './packages.js';
import { selectInterpreter } from './selecting.js';

export class WorkerPython implements vscode.Disposable {
  private found: Promise<WorkerInterpreter | undefined> = Promise.resolve(undefined);
  private toldOf: string | undefined;
  private readonly changed = new vscode.EventEmitter<WorkerInterpreter | undefined>();
  /** Another Python than before, or the same with what it lacked: the worker has to start anew. */
  public readonly onDidChange = this.changed.event;

  public constructor(
    private readonly interpreters: Interpreters,
    private readonly context: vscode.ExtensionContext,
    private readonly log: Log,
  ) {}

  /** What is known; waits for what is just being found out. */
  public current(): Promise<WorkerInterpreter | undefined> {
    return this.found;
  }

  /** Looks again. @param server the Python that runs the server */
  public async look(server: string): Promise<WorkerInterpreter | undefined> {
    const known = this.found;
    this.found = this.interpreters.forWorker(server);
    const [before, now] = await Promise.all([known, this.found]);
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(now)) this.changed.fire(now);
    return now;
  }

  /** Says once for each interpreter what it lacks. Returns whether runs are possible as far as is known. */
  public tell(again = false): Promise<boolean> {
    return this.found.then((found) => {
      if (found === undefined || found.missing.length === 0) {
        this.toldOf = undefined;
        return true;
      }
      if (again || this.toldOf !== found.executable) {
        this.toldOf = found.executable;
        const lacks = `${found.executable} lacks ${listed(found.missing)}`;
        this.log.showWarning(`Workflows are checked but cannot be run yet: ${lacks}.`, this.remedies(found));
      }
      return false;
    });
  }

  public dispose(): void {
    this.changed.dispose();
  }

  private remedies(found: WorkerInterpreter): Buttons {
    return {
      'Install in Terminal': () => this.install(found),
      'Select Interpreter': () => selectInterpreter('worker'),
    };
  }

  private async install(found: WorkerInterpreter): Promise<void> {
    if (!vscode.workspace.isTrusted) {
      this.log.showWarning('Installing needs a trusted workspace.');
      return;
    }
    const folder = surroundings().workspaceFolder ?? this.context.globalStorageUri.fsPath;
    const steps = installation(found, this.requirements(), folder, process.platform === 'win32');
    const well = await installInTerminal(steps);
    if (!well) {
      this.log.showError('The installation did not end well. The terminal says why.', this.remedies(found));
      return;
    }
    await this.useFromNowOn(steps.executable);
    await this.look(steps.executable);
  }

  /** As the bundled server's own metadata has them. */
  private requirements(): readonly string[] {
    const bundle = path.join(this.context.extensionPath, 'bundled');
    const own = readdirSync(bundle).find((name) => /^dw_lsp-.*\.dist-info$/.test(name));
    if (own === undefined)
      throw new Error(`The extension is incomplete: ${bundle} does not say what the worker needs.`);
    return workerRequirements(readFileSync(path.join(bundle, own, 'METADATA'), 'utf8'));
  }

  /** Where another one is set, or nothing would find this one by itself. */
  private async useFromNowOn(executable: string): Promise<void> {
    const set = pathSetting('worker.python');
    const folder = surroundings().workspaceFolder;
    const foundAnyway = set === undefined && folder !== undefined;
    if (foundAnyway || set === executable) return;
    const target = folder === undefined ? vscode.ConfigurationTarget.Global : vscode.ConfigurationTarget.Workspace;
    await vscode.workspace.getConfiguration('dw').update('worker.python', executable, target);
  }
}
