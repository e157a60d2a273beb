/**
 * What the commands on results do, from the palette and from the buttons of the Results view.
 */
import * as path from 'node:path';
import * as vscode from 'vscode';

import type { Log } from '../log.js';
import { mainPicture, picturesOf, type History, type ResultFile, type RunRecord } from '../runs/history.js';
import type { RunCommands } from '../runs/runCommands.js';
import { LANGUAGE } from '../workflowDocuments.js';
import type { EntryAction, FromPage } from './messages.js';
import { factsOf } from './presenting.js';
import type { ResultsView } from './view.js';

export class ResultCommands {
  public constructor(
    private readonly history: History,
    private readonly runs: RunCommands,
    private readonly log: Log,
    private readonly view: () => ResultsView,
    /** The history has changed otherwise than by a run. */
    private readonly changed: () => void,
  ) {}

  /** A button of the Results view was pressed. */
  public async act(message: Extract<FromPage, { type: 'entry' | 'cancel' }>): Promise<void> {
    if (message.type === 'cancel') {
      await this.runs.cancelRun(this.history.current?.started.runId);
      return;
    }
    const record = this.history.find(message.id);
    if (record !== undefined) await this.actOn(record, message.action, message.index);
  }

  /** Shows the Results view; with a picture of the active document where there is one. */
  public openLastResult(): RunRecord | undefined {
    const uri = vscode.window.activeTextEditor?.document.uri.toString();
    const record = this.history.lastWithPicture(uri) ?? this.history.lastWithPicture();
    if (record === undefined) {
      this.log.showWarning('There is no result yet: run a workflow first.');
      return undefined;
    }
    this.view().show();
    this.view().select(record.id);
    return record;
  }

  /** Lets the user choose two runs, and shows them side by side. */
  public async compareResults(given?: unknown): Promise<readonly [string, string] | undefined> {
    const pair = isPair(given) ? given : await this.choosePair();
    if (pair === undefined) return undefined;
    this.view().compare(pair[0], pair[1]);
    return pair;
  }

  public async revealOutputFolder(): Promise<string | undefined> {
    const uri = vscode.window.activeTextEditor?.document.uri;
    const record = (uri && this.history.lastWithPicture(uri.toString())) ?? this.history.lastWithPicture();
    const file = record && mainPicture(record);
    if (file !== undefined) {
      await reveal(file.path);
      return path.dirname(file.path);
    }
    this.log.showWarning('There is no output folder yet: run a workflow first.');
    return undefined;
  }

  public clearHistory(): void {
    this.history.clear();
    this.changed();
  }

  private async choosePair(): Promise<readonly [string, string] | undefined> {
    const records = this.history.records.filter((record) => picturesOf(record).length > 0);
    if (records.length < 2) {
      this.log.showWarning('Comparing needs two results: run a workflow twice.');
      return undefined;
    }
    const items = records.map((record) => ({
      label: record.prompt ?? record.workflow,
      description: factsOf(record),
      detail: new Date(record.ended).toLocaleString(),
      id: record.id,
    }));
    const chosen = await vscode.window.showQuickPick(items, {
      title: 'Compare Results',
      placeHolder: 'Choose two',
      canPickMany: true,
      matchOnDescription: true,
    });
    const [newer, older] = chosen ?? [];
    if (chosen === undefined) return undefined;
    if (newer === undefined || older === undefined || chosen.length !== 2) {
      this.log.showWarning(`Choose two results to compare, not ${chosen.length}.`);
      return undefined;
    }
    return [older.id, newer.id];
  }

  private async actOn(record: RunRecord, action: EntryAction, index: number): Promise<void> {
    const file = record.files[index] ?? mainPicture(record);
    const shown = mainPicture(record) ?? file;
    const actions: Readonly<Record<EntryAction, () => unknown>> = {
      runSame: () => this.runs.runAgain(record, 'same'),
      runNew: () => this.runs.runAgain(record, 'new'),
      open: () => this.openFile(index === 0 ? shown : file),
      reveal: () => shown && reveal(shown.path),
      copyPath: () => shown && vscode.env.clipboard.writeText(shown.path),
      openWorkflow: () => openRunText(record),
      forget: () => {
        this.history.forget(record.id);
        this.changed();
      },
    };
    await actions[action]();
  }

  private async openFile(file: ResultFile | undefined): Promise<void> {
    if (file === undefined) return;
    await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file.path), {
      viewColumn: vscode.ViewColumn.Beside,
      preview: true,
    });
  }
}

function isPair(given: unknown): given is readonly [string, string] {
  return Array.isArray(given) && given.length === 2 && given.every((id) => typeof id === 'string');
}

/** In the system's file manager; where the files are on another machine, in the editor's own. */
async function reveal(file: string): Promise<void> {
  const command = vscode.env.remoteName === undefined ? 'revealFileInOS' : 'revealInExplorer';
  await vscode.commands.executeCommand(command, vscode.Uri.file(file));
}

/** The text that was run, in a document of its own. */
async function openRunText(record: RunRecord): Promise<void> {
  const document = await vscode.workspace.openTextDocument({ language: LANGUAGE, content: record.text ?? '' });
  await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside });
}
