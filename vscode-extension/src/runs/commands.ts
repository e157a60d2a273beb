/**
 * The commands: what each asks the server for and what it returns. Commands return the server's answer, so that
 * keybindings, other extensions and tests can rely on it; `undefined` means that the user has been told why not.
 */
import * as vscode from 'vscode';

import { messageOf, type Log } from '../log.js';
import {
  SERVER_COMMANDS,
  type Cancelled,
  type MemoryReport,
  type RunArgument,
  type ServerCommand,
  type Submitted,
  type WorkerState,
} from '../protocol.js';
import { ServerUnavailable, type ServerLifecycle } from '../server/lifecycle.js';
import { stepAt, type Lens } from './steps.js';
import { memoryLines } from './wording.js';

/** Commands that a code lens or another extension may send and that run nothing. */
const HARMLESS: readonly ServerCommand[] = ['dw.plan', 'dw.memory', 'dw.ping', 'dw.status', 'dw.cancel'];

export class RunCommands {
  public constructor(
    private readonly server: ServerLifecycle,
    private readonly log: Log,
  ) {}

  /** Registers every command once, for the life of the extension; servers come and go behind them. */
  public register(): vscode.Disposable {
    const table: Readonly<Record<string, (argument?: unknown) => unknown>> = {
      'dwLsp.runWorkflow': (argument) => this.runWorkflow(argument),
      'dwLsp.runToHere': () => this.runToHere(),
      'dwLsp.cancelRun': () => this.cancelRun(),
      'dwLsp.showMemory': () => this.showMemory(),
      'dwLsp.clearMemory': () => this.clearMemory(),
      'dwLsp.restartWorker': () => this.restartWorker(),
      'dwLsp.restartServer': () => this.server.restart(),
      'dwLsp.showLog': () => {
        this.log.show();
      },
    };
    const own = Object.entries(table).map(([id, work]) => vscode.commands.registerCommand(id, work));
    // Code lenses name the server's commands, so that every editor can execute them.
    const passed = SERVER_COMMANDS.map((id) =>
      vscode.commands.registerCommand(id, (argument?: object) => this.ask(id, argument)),
    );
    return vscode.Disposable.from(...own, ...passed);
  }

  private async runWorkflow(argument: unknown): Promise<Submitted | undefined> {
    const uri = argument instanceof vscode.Uri ? argument : vscode.window.activeTextEditor?.document.uri;
    if (uri === undefined) {
      this.log.showWarning('Open a workflow first: there is no document to run.');
      return undefined;
    }
    return this.run({ uri: uri.toString() });
  }

  private async runToHere(): Promise<Submitted | undefined> {
    const editor = vscode.window.activeTextEditor;
    if (editor === undefined) {
      this.log.showWarning('Open a workflow first: there is no document to run.');
      return undefined;
    }
    const uri = editor.document.uri.toString();
    const step = await this.stepUnderCursor(uri, editor.selection.active.line);
    if (step === undefined) return undefined;
    return this.run({ uri, step });
  }

  private async stepUnderCursor(uri: string, line: number): Promise<string | undefined> {
    const lenses = await this.attempt(async () => {
      const client = await this.server.running();
      return client.sendRequest<Lens[] | null>('textDocument/codeLens', { textDocument: { uri } });
    });
    if (lenses === undefined) return undefined;
    const step = stepAt(lenses ?? [], line);
    if (step === undefined) this.log.showWarning('Put the cursor into a step: there is none at this line.');
    return step;
  }

  private run(argument: RunArgument): Promise<Submitted | undefined> {
    return this.ask<Submitted>('dw.run', argument);
  }

  private async cancelRun(): Promise<Cancelled | undefined> {
    const answer = await this.ask<Cancelled>('dw.cancel');
    if (answer?.cancelled === false) void vscode.window.showInformationMessage('There is no run to cancel.');
    return answer;
  }

  private async showMemory(): Promise<MemoryReport | undefined> {
    const report = await this.ask<MemoryReport>('dw.memory');
    if (report !== undefined) this.tellMemory(report);
    return report;
  }

  private async clearMemory(): Promise<MemoryReport | undefined> {
    const report = await this.ask<MemoryReport>('dw.clear');
    if (report !== undefined) this.tellMemory(report);
    return report;
  }

  private restartWorker(): Promise<WorkerState | undefined> {
    return this.ask<WorkerState>('dw.restart');
  }

  private tellMemory(report: MemoryReport): void {
    const lines = memoryLines(report);
    for (const line of lines) this.log.main.info(line);
    // Not awaited: it ends only when the message is dismissed.
    void vscode.window.showInformationMessage(lines.join('  ·  '));
  }

  /** The server's answer; what it refuses, and what needs a trusted workspace, is shown to the user. */
  private async ask<T>(command: ServerCommand, argument?: object): Promise<T | undefined> {
    if (!vscode.workspace.isTrusted && !HARMLESS.includes(command)) {
      this.log.showWarning('Running needs a trusted workspace: a workflow can load code and read files.', {
        'Manage Trust': () => vscode.commands.executeCommand('workbench.trust.manage'),
      });
      return undefined;
    }
    return this.attempt(() => this.server.execute<T>(command, argument));
  }

  private async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ServerUnavailable) {
        this.log.showError(messageOf(error), { 'Restart Language Server': () => this.server.restart() });
      } else {
        this.log.showError(messageOf(error), {
          'Show Problems': () => vscode.commands.executeCommand('workbench.actions.view.problems'),
        });
      }
      return undefined;
    }
  }
}
