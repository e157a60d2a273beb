/**
 * The end of a run: its picture beside the document, or what went wrong with a way to the place and to the log.
 */
import * as vscode from 'vscode';

import type { Buttons, Log } from '../log.js';
import type { Range, RunFinished } from '../protocol.js';
import { selectInterpreter } from '../server/lifecycle.js';
import { duration, failureOf, pictureOf, size } from './wording.js';

/** Shows how a run ended. */
export async function showResult(finished: RunFinished, log: Log): Promise<void> {
  logRun(finished, log);
  const failure = failureOf(finished);
  if (failure !== undefined) {
    if (failure.traceback !== undefined) log.main.error(failure.traceback);
    const { range } = failure;
    const buttons: Buttons = {
      ...(range !== undefined && { 'Go to Step': () => goTo(finished.uri, range) }),
      ...(failure.interpreterAtFault && { 'Select Interpreter': () => selectInterpreter('worker') }),
    };
    log.showError(failure.message, buttons);
    return;
  }
  const picture = pictureOf(finished);
  const settings = vscode.workspace.getConfiguration('dw', vscode.Uri.parse(finished.uri));
  if (picture === undefined || !settings.get<boolean>('results.openAfterRun', true)) return;
  await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(picture.path), {
    viewColumn: columnBeside(finished.uri),
    preserveFocus: true,
    // The next picture takes the place of this one, unless the user has pinned it.
    preview: true,
  });
}

/**
 * The column right of the document's, the same for every run. `Beside` is right of the active column and, unlike a
 * number, leaves that one active, so that the next Ctrl+Enter still goes to the workflow.
 */
function columnBeside(uri: string): number {
  const column = vscode.window.visibleTextEditors.find((one) => one.document.uri.toString() === uri)?.viewColumn;
  const active = vscode.window.tabGroups.activeTabGroup.viewColumn;
  return column === undefined || column === active ? vscode.ViewColumn.Beside : column + 1;
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
