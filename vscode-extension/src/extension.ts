/**
 * Puts the parts together. `activate` is the list of what the extension registers; no part is made elsewhere.
 */
import * as vscode from 'vscode';

import { registerCommands } from './commands.js';
import { Log } from './log.js';
import { ResultCommands } from './results/resultCommands.js';
import { ResultsView } from './results/view.js';
import { Questions } from './runs/asking.js';
import { Gutter } from './runs/gutter.js';
import { History, keptRecords, type RunRecord } from './runs/history.js';
import { listen, stopped, type Showing } from './runs/listening.js';
import { RunNotification } from './runs/notification.js';
import { RunCommands } from './runs/runCommands.js';
import { RunErrors } from './runs/runErrors.js';
import { Runner } from './runs/runner.js';
import { StatusBar } from './runs/statusBar.js';
import { ServerLifecycle } from './server/lifecycle.js';
import type { WorkerInterpreter } from './server/packages.js';
import { WorkerTree } from './worker/tree.js';
import type { TreeNode } from './worker/treeModel.js';
import { WorkflowOpening } from './workflows/opening.js';
import { mayBeWorkflow } from './workflowDocuments.js';

const HISTORY_KEY = 'history';
let server: ServerLifecycle | undefined;

/** What other extensions, and the tests, can ask. */
export interface Api {
  /** Runs that have ended, newest first. */
  results(): readonly RunRecord[];
  workerView(): readonly TreeNode[];
  memoryText(): string;
  workerPython(): Promise<WorkerInterpreter | undefined>;
}

export function activate(context: vscode.ExtensionContext): Api {
  const log = new Log();
  const lifecycle = new ServerLifecycle(context, log);
  server = lifecycle;
  const history = new History(keptRecords(context.workspaceState.get(HISTORY_KEY)), () =>
    vscode.workspace.getConfiguration('dw').get('results.historySize', 50),
  );
  const tree = new WorkerTree(history);
  const runner = new Runner(lifecycle, history, log, (submitted, title) => {
    tree.submitted(submitted, title);
  });
  const runs = new RunCommands(runner, new Questions(context.workspaceState), log);
  const keep = (): void => {
    void context.workspaceState.update(HISTORY_KEY, history.records);
    view.changed();
  };
  const results: ResultCommands = new ResultCommands(history, runs, log, () => view, keep);
  const view: ResultsView = new ResultsView(context.extensionUri, history, log, (message) => results.act(message));
  const showing: Showing = {
    log,
    history,
    tree,
    results: view,
    statusBar: new StatusBar(),
    gutter: new Gutter(context.extensionUri, (uri) => runner.lenses(uri)),
    errors: new RunErrors(),
    notification: new RunNotification((runId) => runs.cancelRun(runId)),
    keep,
  };
  const opening = new WorkflowOpening(context.extensionUri, log);
  context.subscriptions.push(
    log,
    tree,
    view,
    showing.statusBar,
    showing.gutter,
    showing.errors,
    registerCommands({ extension: context.extensionUri, log, server: lifecycle, runner, runs, results, view, opening }),
    lifecycle.onDidCreateClient((client) => {
      listen(client, showing);
    }),
    lifecycle.onDidStop(() => {
      stopped(showing);
    }),
    ...documentListeners(lifecycle, showing),
  );
  markEditor(vscode.window.activeTextEditor);
  for (const document of vscode.workspace.textDocuments) startFor(document, lifecycle);
  return {
    results: () => history.records,
    workerView: () => tree.top(),
    memoryText: () => showing.statusBar.text,
    workerPython: () => lifecycle.workerPython.current(),
  };
}

export async function deactivate(): Promise<void> {
  await server?.shutdown();
  server = undefined;
}

function documentListeners(lifecycle: ServerLifecycle, { gutter, results }: Showing): vscode.Disposable[] {
  return [
    vscode.workspace.onDidOpenTextDocument((document) => {
      startFor(document, lifecycle);
    }),
    // A document that becomes a workflow while it is typed is noticed when it is saved.
    vscode.workspace.onDidSaveTextDocument((document) => {
      startFor(document, lifecycle);
      markEditor(vscode.window.activeTextEditor);
    }),
    vscode.workspace.onDidChangeTextDocument((change) => {
      if (change.contentChanges.length > 0) gutter.edited(change.document.uri.toString());
    }),
    vscode.window.onDidChangeActiveTextEditor(markEditor),
    vscode.window.onDidChangeVisibleTextEditors(() => {
      gutter.draw();
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      results.changed();
    }),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration('dw.codeLens.enabled')) void lifecycle.refreshLenses();
    }),
  ];
}

function startFor(document: vscode.TextDocument, lifecycle: ServerLifecycle): void {
  if (mayBeWorkflow(document)) void lifecycle.ensureStarted();
}

/** Shows or hides the run button for JSON files that are workflows without being named so. */
function markEditor(editor: vscode.TextEditor | undefined): void {
  const workflow = editor !== undefined && mayBeWorkflow(editor.document);
  void vscode.commands.executeCommand('setContext', 'dwLsp.workflowEditor', workflow);
}
