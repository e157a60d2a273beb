/**
 * Puts the parts together. `activate` is the list of what the extension registers; no part is made elsewhere.
 */
import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

import { Log } from './log.js';
import type { Notifications, RunFinished, WorkerState } from './protocol.js';
import { RunCommands } from './runs/commands.js';
import { showResult } from './runs/results.js';
import { StatusBar } from './runs/statusBar.js';
import { WorkerEndings } from './runs/workerEndings.js';
import { selectInterpreter, ServerLifecycle } from './server/lifecycle.js';
import { mayBeWorkflow } from './workflowDocuments.js';

let server: ServerLifecycle | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = new Log();
  const statusBar = new StatusBar();
  const lifecycle = new ServerLifecycle(context, log);
  server = lifecycle;
  context.subscriptions.push(
    log,
    statusBar,
    new RunCommands(lifecycle, log).register(),
    lifecycle.onDidCreateClient((client) => {
      listen(client, statusBar, log);
    }),
    lifecycle.onDidStop(() => {
      statusBar.reset();
    }),
    vscode.workspace.onDidOpenTextDocument((document) => {
      startFor(document, lifecycle);
    }),
    // A document that becomes a workflow while it is typed is noticed when it is saved.
    vscode.workspace.onDidSaveTextDocument((document) => {
      startFor(document, lifecycle);
      markEditor(vscode.window.activeTextEditor);
    }),
    vscode.window.onDidChangeActiveTextEditor(markEditor),
  );
  markEditor(vscode.window.activeTextEditor);
  for (const document of vscode.workspace.textDocuments) startFor(document, lifecycle);
}

export async function deactivate(): Promise<void> {
  await server?.shutdown();
  server = undefined;
}

function startFor(document: vscode.TextDocument, lifecycle: ServerLifecycle): void {
  if (mayBeWorkflow(document)) void lifecycle.ensureStarted();
}

/** Shows or hides the run button for JSON files that are workflows without being named so. */
function markEditor(editor: vscode.TextEditor | undefined): void {
  const workflow = editor !== undefined && mayBeWorkflow(editor.document);
  void vscode.commands.executeCommand('setContext', 'dwLsp.workflowEditor', workflow);
}

/** Connects a new client's notifications; they end with the client. */
function listen(client: LanguageClient, statusBar: StatusBar, log: Log): void {
  const endings = new WorkerEndings();
  const on = <M extends keyof Notifications>(method: M, handler: (parameters: Notifications[M]) => void): void => {
    client.onNotification(method, handler);
  };
  on('dw/runStarted', (started) => {
    statusBar.runStarted(started);
  });
  on('dw/runProgress', (progress) => {
    statusBar.runProgress(progress);
  });
  on('dw/runFinished', (finished: RunFinished) => {
    statusBar.runFinished(finished);
    if (finished.memory) statusBar.showMemory(finished.memory);
    endings.runFinished(finished);
    void showResult(finished, log);
  });
  on('dw/memory', (report) => {
    statusBar.showMemory(report);
  });
  on('dw/workerState', (state) => {
    statusBar.workerState(state);
    tellWorkerState(state, endings, log);
  });
  on('dw/log', (line) => {
    log.worker(line);
  });
}

function tellWorkerState(state: WorkerState, endings: WorkerEndings, log: Log): void {
  log.main.info(`Worker: ${state.state}${state.python === undefined ? '' : `, ${state.python}`}.`);
  const sentence = endings.toTell(state);
  if (sentence === undefined) return;
  log.showError(sentence, {
    'Select Interpreter': () => selectInterpreter('worker'),
    'Restart Worker': () => vscode.commands.executeCommand('dwLsp.restartWorker'),
  });
}
