/**
 * The status bar: memory, and the run that is going on (a click cancels it) or how the last one ended.
 */
import * as vscode from 'vscode';

import type { MemoryReport, RunFinished, RunOutcome, RunProgress, RunStarted, WorkerState } from '../protocol.js';
import { isAboveBudget, memoryTooltip } from '../worker/memory.js';
import { duration, memoryText, progressText } from './wording.js';

const OUTCOME_ICONS: Readonly<Record<RunOutcome, string>> = {
  succeeded: 'check',
  failed: 'error',
  cancelled: 'circle-slash',
  timedOut: 'watch',
  crashed: 'flame',
};

export class StatusBar implements vscode.Disposable {
  private readonly memory = vscode.window.createStatusBarItem('dwLsp.memory', vscode.StatusBarAlignment.Left, 11);
  private readonly run = vscode.window.createStatusBarItem('dwLsp.run', vscode.StatusBarAlignment.Left, 10);
  private runId: string | undefined;
  /** What the memory item says, for tests. */
  public text = '';

  public constructor() {
    this.memory.name = 'Diffusion Workflow: Memory';
    this.memory.command = 'dwLsp.showMemory';
    this.run.name = 'Diffusion Workflow: Run';
  }

  public showMemory(report: MemoryReport): void {
    this.memory.text = `$(chip) ${memoryText(report)}`;
    const budget = vscode.workspace.getConfiguration('dw').get<unknown>('memory.budget');
    const tooltip = new vscode.MarkdownString(memoryTooltip(report, budget), true);
    this.memory.tooltip = tooltip;
    const above = isAboveBudget(report, budget);
    this.memory.backgroundColor = above ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined;
    const label = `${memoryText(report)}, ${report.components.length} components${above ? ', above the budget' : ''}`;
    this.memory.accessibilityInformation = { label };
    this.text = this.memory.text;
    this.memory.show();
  }

  public runStarted(started: RunStarted): void {
    this.runId = started.runId;
    void vscode.commands.executeCommand('setContext', 'dwLsp.running', true);
    this.showRunning(started.workflow);
  }

  public runProgress(progress: RunProgress): void {
    if (progress.runId === this.runId) this.showRunning(progressText(progress));
  }

  public runFinished(finished: RunFinished): void {
    // A run that is cancelled in the queue ends without having started; the running one goes on.
    if (this.runId !== undefined && finished.runId !== this.runId) return;
    this.noRun();
    this.run.text = `$(${OUTCOME_ICONS[finished.outcome]}) ${duration(finished.seconds)}`;
    this.run.tooltip = `Last run: ${finished.outcome} after ${duration(finished.seconds)}. Click for the log.`;
    this.run.accessibilityInformation = { label: this.run.tooltip };
    this.run.command = 'dwLsp.showLog';
    this.run.show();
  }

  public workerState(state: WorkerState): void {
    if (state.state === 'starting')
      this.showQuiet('$(loading~spin) worker starting', 'The worker imports its libraries.');
    else if (state.state === 'unresponsive') this.showQuiet('$(warning) worker does not answer', 'Click for the log.');
    else if (state.state === 'crashed')
      this.showQuiet('$(flame) worker crashed', state.exit?.reason ?? 'Click for the log.');
    else if (this.quiet) this.run.hide();
    if (state.state === 'stopped' || state.state === 'crashed') this.memory.hide();
  }

  /** What the server said does not hold any more: it is gone. */
  public reset(): void {
    this.noRun();
    this.text = '';
    this.memory.hide();
    this.run.hide();
  }

  public dispose(): void {
    this.memory.dispose();
    this.run.dispose();
  }

  /** Whether the item shows a state of the worker, which goes away with it. */
  private quiet = false;

  private showRunning(text: string): void {
    this.quiet = false;
    this.run.text = `$(sync~spin) ${text}`;
    this.run.tooltip = 'Click to cancel the run.';
    this.run.accessibilityInformation = { label: `Running: ${text}. Activate to cancel.` };
    this.run.command = 'dwLsp.cancelRun';
    this.run.show();
  }

  private showQuiet(text: string, tooltip: string): void {
    if (this.runId !== undefined) return;
    this.quiet = true;
    this.run.text = text;
    this.run.tooltip = tooltip;
    this.run.command = 'dwLsp.showLog';
    this.run.show();
  }

  private noRun(): void {
    this.runId = undefined;
    this.quiet = false;
    void vscode.commands.executeCommand('setContext', 'dwLsp.running', false);
  }
}
