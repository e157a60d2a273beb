/**
 * What went wrong in a run, as a problem at its step, until the document runs again or is edited there.
 */
import * as vscode from 'vscode';

import type { Range, RunFinished } from '../protocol.js';

export class RunErrors implements vscode.Disposable {
  private readonly problems = vscode.languages.createDiagnosticCollection('dw-run');
  private readonly edits = vscode.workspace.onDidChangeTextDocument((change) => {
    const [problem] = this.problems.get(change.document.uri) ?? [];
    // A place that was edited, or that has moved, is no longer the place of the problem.
    if (problem && change.contentChanges.some((one) => one.range.start.isBeforeOrEqual(problem.range.end))) {
      this.problems.delete(change.document.uri);
    }
  });

  public started(uri: string): void {
    this.problems.delete(vscode.Uri.parse(uri));
  }

  /** @param line of the step, where the error itself names no place */
  public finished(finished: RunFinished, message: string | undefined, line: number | undefined): void {
    if (message === undefined) return;
    const place = placeOf(finished.error?.range, line ?? 0);
    const problem = new vscode.Diagnostic(place, message, vscode.DiagnosticSeverity.Error);
    problem.source = 'dw run';
    if (finished.error !== undefined) problem.code = finished.error.type;
    this.problems.set(vscode.Uri.parse(finished.uri), [problem]);
  }

  public dispose(): void {
    this.edits.dispose();
    this.problems.dispose();
  }
}

function placeOf(range: Range | undefined, line: number): vscode.Range {
  if (range === undefined) return new vscode.Range(line, 0, line, Number.MAX_SAFE_INTEGER);
  return new vscode.Range(range.start.line, range.start.character, range.end.line, range.end.character);
}
