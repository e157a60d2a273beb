/**
 * The steps of the running workflow in its editors: a mark in the gutter, what is being done and for how long behind
 * the name. When the run is over, the server's own notes tell the times.
 */
import * as vscode from 'vscode';

import type { RunProgress, RunStarted, StepFinished } from '../protocol.js';
import { linesOfSteps, type Lens } from './steps.js';
import { duration, progressText } from './wording.js';

const MARKS = ['running', 'done', 'failed'] as const;
type Mark = (typeof MARKS)[number];

interface StepMark {
  readonly mark: Mark;
  readonly text: string;
}

/** Asks the server where the steps of a document begin. */
export type LensesOf = (uri: string) => Promise<readonly Lens[]>;

export class Gutter implements vscode.Disposable {
  private readonly types: ReadonlyMap<Mark, vscode.TextEditorDecorationType>;
  private readonly marks = new Map<string, StepMark>();
  private lines: ReadonlyMap<string, number> = new Map();
  private uri: string | undefined;

  public constructor(
    extension: vscode.Uri,
    private readonly lensesOf: LensesOf,
  ) {
    this.types = new Map(
      MARKS.map((mark) => [
        mark,
        vscode.window.createTextEditorDecorationType({
          gutterIconPath: vscode.Uri.joinPath(extension, 'media', `step-${mark}.svg`),
          gutterIconSize: 'contain',
          rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
        }),
      ]),
    );
  }

  public async started(started: RunStarted): Promise<void> {
    this.clear();
    this.uri = started.uri;
    const lenses = await this.lensesOf(started.uri);
    if (this.uri === started.uri) {
      this.lines = linesOfSteps(lenses);
      this.draw();
    }
  }

  public progress(progress: RunProgress): void {
    this.set(progress.step, { mark: 'running', text: progressText(progress).slice(progress.step.length).trim() });
  }

  public stepFinished(finished: StepFinished): void {
    const reused = finished.outcome === 'reused';
    this.set(finished.step, { mark: 'done', text: reused ? 'reused' : duration(finished.seconds) });
  }

  /** The run is over. A step that failed stays marked until the next run or the next edit. */
  public finished(failedStep: string | undefined): void {
    this.marks.clear();
    if (failedStep !== undefined) this.marks.set(failedStep, { mark: 'failed', text: '' });
    this.draw();
  }

  /** Line of a step of the run that was started last. */
  public lineOf(step: string): number | undefined {
    return this.lines.get(step);
  }

  public edited(uri: string): void {
    if (uri === this.uri && [...this.marks.values()].every(({ mark }) => mark === 'failed')) this.clear();
  }

  /** Draws again, in editors that have been opened since. */
  public draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      if (editor.document.uri.toString() !== this.uri) continue;
      for (const [mark, type] of this.types) editor.setDecorations(type, this.decorations(editor.document, mark));
    }
  }

  public clear(): void {
    this.marks.clear();
    this.draw();
  }

  public dispose(): void {
    for (const type of this.types.values()) type.dispose();
  }

  private set(step: string, mark: StepMark): void {
    if (this.marks.get(step)?.mark === mark.mark && this.marks.get(step)?.text === mark.text) return;
    this.marks.set(step, mark);
    this.draw();
  }

  private decorations(document: vscode.TextDocument, wanted: Mark): vscode.DecorationOptions[] {
    const found: vscode.DecorationOptions[] = [];
    for (const [step, { mark, text }] of this.marks) {
      const line = this.lines.get(step);
      if (mark !== wanted || line === undefined || line >= document.lineCount) continue;
      const after = {
        contentText: text,
        margin: '0 0 0 1.5em',
        color: new vscode.ThemeColor('editorInlayHint.foreground'),
      };
      found.push({ range: document.lineAt(line).range, ...(text !== '' && { renderOptions: { after } }) });
    }
    return found;
  }
}
