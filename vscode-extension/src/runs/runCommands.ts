/**
 * What the commands that run something do. Each returns the server's answer, so that keybindings, other extensions and
 * tests can rely on it; `undefined` means that the user has been told why not, or has left.
 */
import * as vscode from 'vscode';

import type { Log } from '../log.js';
import type { Cancelled, MemoryReport, Submitted, WorkerState } from '../protocol.js';
import { mayBeWorkflow } from '../workflowDocuments.js';
import { variablesOf, type Variable } from './arguments.js';
import type { Questions } from './asking.js';
import type { RunRecord } from './history.js';
import { openText, type Runner } from './runner.js';
import { memoryLines } from './wording.js';

const LARGEST_NEW_SEED = 2 ** 31;

/** What a command may be called with besides the document's address: answers that are then not asked for. */
interface Given {
  readonly uri?: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly name?: string;
  readonly values?: readonly unknown[];
}

export class RunCommands {
  public constructor(
    private readonly runner: Runner,
    private readonly questions: Questions,
    private readonly log: Log,
  ) {}

  public async runWorkflow(argument: unknown): Promise<Submitted | undefined> {
    const document = await this.document(argument);
    return document && this.runner.run({ uri: document.uri.toString() });
  }

  public async runToHere(): Promise<Submitted | undefined> {
    const editor = vscode.window.activeTextEditor;
    if (editor === undefined) {
      this.noDocument();
      return undefined;
    }
    const step = await this.runner.stepUnderCursor(editor);
    return step === undefined ? undefined : this.runner.run({ uri: editor.document.uri.toString(), step });
  }

  public async runWithArguments(argument: unknown): Promise<Submitted | undefined> {
    const document = await this.document(argument);
    if (document === undefined) return undefined;
    const uri = document.uri.toString();
    const given = givenIn(argument)?.arguments;
    const values = given ?? (await this.ask(document, (variables) => this.questions.values(uri, variables)));
    return values && this.runner.run({ uri, arguments: values });
  }

  /** Queues one run for each value. */
  public async runVariants(argument: unknown): Promise<readonly Submitted[] | undefined> {
    const document = await this.document(argument);
    if (document === undefined) return undefined;
    const uri = document.uri.toString();
    const { name, values } = givenIn(argument) ?? {};
    const chosen =
      name !== undefined && values !== undefined
        ? { name, values }
        : await this.ask(document, (variables) => this.questions.variants(uri, variables));
    if (chosen === undefined) return undefined;
    const submitted: Submitted[] = [];
    for (const value of chosen.values) {
      const answer = await this.runner.run({ uri, arguments: { [chosen.name]: value } });
      // What is refused once is refused each time: one message is enough.
      if (answer === undefined) break;
      submitted.push(answer);
    }
    return submitted;
  }

  /** Runs what a record tells of once more: its text, its values, and its seed or a new one. */
  public async runAgain(record: RunRecord, seed: 'same' | 'new'): Promise<Submitted | undefined> {
    const { uri, text, step } = record;
    if (text === undefined) return undefined;
    const wanted = seed === 'same' ? record.seed : Math.floor(Math.random() * LARGEST_NEW_SEED);
    return this.runner.run({
      uri,
      arguments: record.arguments,
      ...(step !== undefined && { step }),
      ...(wanted !== null && { seed: wanted }),
      ...(text !== openText(uri) && { text }),
    });
  }

  public async cancelRun(runId?: string): Promise<Cancelled | undefined> {
    const answer = await this.runner.ask<Cancelled>('dw.cancel', runId === undefined ? undefined : { runId });
    if (answer?.cancelled === false) void vscode.window.showInformationMessage('There is no run to cancel.');
    return answer;
  }

  public async showMemory(): Promise<MemoryReport | undefined> {
    return this.tellMemory(await this.runner.ask<MemoryReport>('dw.memory'));
  }

  public async clearMemory(): Promise<MemoryReport | undefined> {
    return this.tellMemory(await this.runner.ask<MemoryReport>('dw.clear'));
  }

  public evict(component: unknown): Promise<MemoryReport | undefined> | undefined {
    const key = typeof component === 'object' && component !== null && 'key' in component ? component.key : component;
    return typeof key === 'string' ? this.runner.ask<MemoryReport>('dw.evict', { component: key }) : undefined;
  }

  public restartWorker(): Promise<WorkerState | undefined> {
    return this.runner.ask<WorkerState>('dw.restart');
  }

  private tellMemory(report: MemoryReport | undefined): MemoryReport | undefined {
    if (report === undefined) return undefined;
    const lines = memoryLines(report);
    for (const line of lines) this.log.main.info(line);
    // Not awaited: it ends only when the message is dismissed.
    void vscode.window.showInformationMessage(lines.join('  ·  '));
    return report;
  }

  /** The variables' values, as `question` gets them; without variables there is nothing to ask. */
  private async ask<T>(
    document: vscode.TextDocument,
    question: (variables: readonly Variable[]) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const variables = variablesOf(document.getText());
    if (variables.length > 0) return question(variables);
    this.log.showWarning('This workflow declares no "variables" that could be asked for.');
    return undefined;
  }

  /** The document that a command is for: the one it was called on, else the active one. */
  private async document(argument: unknown): Promise<vscode.TextDocument | undefined> {
    const uri = argument instanceof vscode.Uri ? argument : uriOf(givenIn(argument));
    if (uri !== undefined) return vscode.workspace.openTextDocument(uri);
    const active = vscode.window.activeTextEditor?.document;
    // With the focus in the Results view no text editor is active, but the workflow beside it is meant.
    const seen = vscode.window.visibleTextEditors.map((editor) => editor.document).filter(mayBeWorkflow);
    const meant = active ?? (seen.length === 1 ? seen[0] : undefined);
    if (meant === undefined) this.noDocument();
    return meant;
  }

  private noDocument(): void {
    this.log.showWarning('Open a workflow first: there is no document to run.');
  }
}

function givenIn(argument: unknown): Given | undefined {
  const plain = typeof argument === 'object' && argument !== null && !(argument instanceof vscode.Uri);
  return plain ? argument : undefined;
}

function uriOf(given: Given | undefined): vscode.Uri | undefined {
  return typeof given?.uri === 'string' ? vscode.Uri.parse(given.uri) : undefined;
}
