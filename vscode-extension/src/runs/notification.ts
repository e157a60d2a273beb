/**
 * The notification of a run that takes a while: phase, step, time left, and a button to cancel. The server could ask
 * for one by itself, but the editor would show that in the status bar and without the button.
 */
import * as vscode from 'vscode';

import type { RunProgress, RunStarted } from '../protocol.js';
import { progressShare, progressText, timeLeft } from './wording.js';

/** Runs shorter than this show themselves by their picture alone. */
const PATIENCE_MILLISECONDS = 1_000;

export class RunNotification {
  private latest: RunProgress | undefined;
  private reported = 0;
  private report: vscode.Progress<{ message?: string; increment?: number }> | undefined;
  private over: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** @param cancel ends the run that is shown */
  public constructor(private readonly cancel: (runId: string) => unknown) {}

  public started(started: RunStarted): void {
    this.finished();
    this.timer = setTimeout(() => {
      this.open(started);
    }, PATIENCE_MILLISECONDS);
  }

  public progress(progress: RunProgress): void {
    this.latest = progress;
    this.tell();
  }

  public finished(): void {
    clearTimeout(this.timer);
    this.over?.();
    this.over = undefined;
    this.report = undefined;
    this.latest = undefined;
    this.reported = 0;
  }

  private open(started: RunStarted): void {
    const options = { location: vscode.ProgressLocation.Notification, title: started.workflow, cancellable: true };
    void vscode.window.withProgress(options, (report, token) => {
      token.onCancellationRequested(() => this.cancel(started.runId));
      this.report = report;
      this.tell();
      return new Promise<void>((resolve) => {
        this.over = resolve;
      });
    });
  }

  private tell(): void {
    if (this.latest === undefined || this.report === undefined) return;
    const left = timeLeft(this.latest);
    const share = Math.floor(progressShare(this.latest) * 100);
    const increment = Math.max(0, share - this.reported);
    this.reported += increment;
    this.report.report({ message: progressText(this.latest) + (left === undefined ? '' : `, ${left}`), increment });
  }
}
