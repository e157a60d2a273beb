/**
 * What the server tells of runs and of the worker, handed to everything that shows it.
 */
import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

import { messageOf, type Buttons, type Log } from '../log.js';
import type { MemoryReport, Notifications, Range, RunFinished, WorkerState } from '../protocol.js';
import type { ResultsView } from '../results/view.js';
import { selectInterpreter } from '../server/selecting.js';
import type { WorkerTree } from '../worker/tree.js';
import type { Gutter } from './gutter.js';
import { picturesOf, type History } from './history.js';
import type { RunNotification } from './notification.js';
import type { RunErrors } from './runErrors.js';
import { openText } from './runner.js';
import type { StatusBar } from './statusBar.js';
import { WorkerEndings } from './workerEndings.js';
import { duration, failureOf, size } from './wording.js';

export interface Showing {
  readonly log: Log;
  readonly history: History;
  readonly statusBar: StatusBar;
  readonly tree: WorkerTree;
  readonly gutter: Gutter;
  readonly errors: RunErrors;
  readonly notification: RunNotification;
  readonly results: ResultsView;
  /** The history has a new record. */
  readonly keep: () => void;
}

/** Connects a new client's notifications; they end with the client. */
export function listen(client: LanguageClient, showing: Showing): void {
  const { log, history, statusBar, tree, gutter, notification, results } = showing;
  const endings = new WorkerEndings();
  let measured: number | undefined;
  const on = <M extends keyof Notifications>(method: M, handler: (parameters: Notifications[M]) => void): void => {
    client.onNotification(method, handler);
  };
  on('dw/runStarted', (started) => {
    history.started(started, openText(started.uri));
    statusBar.runStarted(started);
    tree.started(started);
    showing.errors.started(started.uri);
    notification.started(started);
    void gutter.started(started);
    results.changed();
  });
  on('dw/runProgress', (progress) => {
    history.progress(progress);
    statusBar.runProgress(progress);
    notification.progress(progress);
    gutter.progress(progress);
    tree.progress();
    results.changed();
  });
  on('dw/preview', (preview) => {
    history.preview(preview);
    openBeside(showing, history.current?.started.uri);
    results.changed();
  });
  on('dw/stepFinished', (finished) => {
    gutter.stepFinished(finished);
  });
  on('dw/runFinished', (finished) => {
    if (finished.memory !== null) showMemory(finished.memory);
    endings.runFinished(finished);
    runFinished(finished, showing);
  });
  const showMemory = (report: Notifications['dw/memory']): void => {
    statusBar.showMemory(report);
    tree.showMemory(report);
  };
  on('dw/memory', showMemory);
  on('dw/workerState', (state) => {
    statusBar.workerState(state);
    tree.workerState(state);
    tellWorkerState(state, endings, log);
    if (state.state === 'idle' && state.pid !== undefined && state.pid !== measured) {
      measured = state.pid;
      void firstMemory(client, log).then((report) => {
        if (report !== undefined) showMemory(report);
      });
    }
  });
  on('dw/log', (line) => {
    log.worker(line);
  });
}

/** The memory of a worker that has just started: the server reports it by itself with the first run only. */
async function firstMemory(client: LanguageClient, log: Log): Promise<MemoryReport | undefined> {
  try {
    return await client.sendRequest('workspace/executeCommand', { command: 'dw.memory', arguments: [] });
  } catch (error) {
    log.main.info(`The memory of the worker is not known yet: ${messageOf(error)}`);
    return undefined;
  }
}

/** The server is gone. */
export function stopped({ history, statusBar, tree, gutter, notification, results }: Showing): void {
  history.abandoned();
  statusBar.reset();
  tree.reset();
  gutter.clear();
  notification.finished();
  results.changed();
}

function runFinished(finished: RunFinished, showing: Showing): void {
  const { log, history, statusBar, tree, gutter, notification, results } = showing;
  const wasCurrent = history.current?.started.runId === finished.runId;
  logRun(finished, log);
  const record = history.finished(finished);
  statusBar.runFinished(finished);
  tree.finished(finished);
  if (wasCurrent) {
    notification.finished();
    gutter.finished(finished.outcome === 'cancelled' ? undefined : finished.error?.step);
  }
  if (record !== undefined) {
    showing.keep();
    if (picturesOf(record).length > 0) {
      openBeside(showing, record.uri);
      // The newest is shown, unless two are being compared: that is left to the user.
      results.selectNewest(record.id);
    }
  }
  results.changed();
  tellFailure(finished, showing);
}

/** The Results view, right of the document; not when the user does not want it. */
function openBeside({ results }: Showing, uri: string | undefined): void {
  if (uri === undefined) return;
  const settings = vscode.workspace.getConfiguration('dw', vscode.Uri.parse(uri));
  if (settings.get<boolean>('results.openAfterRun', true)) results.show(columnBeside(uri));
}

const { One, Two, Three, Four } = vscode.ViewColumn;
const NEXT_COLUMN: ReadonlyMap<vscode.ViewColumn, vscode.ViewColumn> = new Map([
  [One, Two],
  [Two, Three],
  [Three, Four],
]);

/**
 * The column right of the document's, the same for every run. `Beside` is right of the active column and, unlike a
 * number, leaves that one active, so that the next Ctrl+Enter still goes to the workflow.
 */
function columnBeside(uri: string): vscode.ViewColumn {
  const column = vscode.window.visibleTextEditors.find((one) => one.document.uri.toString() === uri)?.viewColumn;
  const active = vscode.window.tabGroups.activeTabGroup.viewColumn;
  if (column === undefined || column === active) return vscode.ViewColumn.Beside;
  return NEXT_COLUMN.get(column) ?? vscode.ViewColumn.Beside;
}

function tellFailure(finished: RunFinished, { log, errors, gutter }: Showing): void {
  const failure = failureOf(finished);
  if (failure === undefined) return;
  if (failure.traceback !== undefined) log.main.error(failure.traceback);
  const { range } = failure;
  const step = finished.error?.step;
  const line = step === undefined ? undefined : gutter.lineOf(step);
  errors.finished(finished, failure.message, line);
  const place =
    range ?? (line === undefined ? undefined : { start: { line, character: 0 }, end: { line, character: 0 } });
  const buttons: Buttons = {
    ...(place !== undefined && { 'Go to Step': () => goTo(finished.uri, place) }),
    ...(failure.interpreterAtFault && { 'Select Interpreter': () => selectInterpreter('worker') }),
  };
  log.showError(failure.message, buttons);
}

async function goTo(uri: string, range: Range): Promise<void> {
  const start = new vscode.Position(range.start.line, range.start.character);
  const end = new vscode.Position(range.end.line, range.end.character);
  await vscode.window.showTextDocument(vscode.Uri.parse(uri), { selection: new vscode.Range(start, end) });
}

function logRun(finished: RunFinished, log: Log): void {
  log.main.info(`Run ${finished.runId} ${finished.outcome} after ${duration(finished.seconds)}.`);
  for (const part of finished.loaded)
    log.main.info(`Loaded ${part.name}: ${size(part.bytes)} in ${duration(part.seconds)}.`);
  for (const result of finished.results) {
    if (result.path !== null) log.main.info(`Result of ${result.step}: ${result.path}`);
  }
}

function tellWorkerState(state: WorkerState, endings: WorkerEndings, log: Log): void {
  log.main.info(`Worker: ${state.state}${state.python === undefined ? '' : `, ${state.python}`}.`);
  const sentence = endings.toTell(state);
  if (sentence === undefined) return;
  log.showError(sentence, {
    'Restart Worker': () => vscode.commands.executeCommand('dwLsp.restartWorker'),
    'Select Interpreter': () => selectInterpreter('worker'),
  });
}
