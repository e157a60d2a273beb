/**
 * Asks the server: every command of it goes through here, so that each refusal is told with a way on, and every run
 * is remembered with the text that it had.
 */
import * as vscode from 'vscode';

import { messageOf, type Log } from '../log.js';
import type { RunArgument, ServerCommand, Submitted } from '../protocol.js';
import { ServerUnavailable, type ServerLifecycle } from '../server/lifecycle.js';
import { promptOf } from './arguments.js';
import type { History } from './history.js';
import { stepAt, type Lens } from './steps.js';

/** Commands that a code lens or another extension may send and that run nothing. */
const HARMLESS: readonly ServerCommand[] = ['dw.plan', 'dw.memory', 'dw.ping', 'dw.status', 'dw.cancel'];

export class Runner {
  public constructor(
    private readonly server: ServerLifecycle,
    private readonly history: History,
    private readonly log: Log,
    /** A run was accepted. */
    private readonly accepted: (submitted: Submitted, title: string) => void,
  ) {}

  /** Runs a document as it is in the editor, or `argument.text` in its place. */
  public async run(argument: RunArgument): Promise<Submitted | undefined> {
    const text = argument.text ?? openText(argument.uri);
    if (vscode.workspace.isTrusted && !(await this.server.canRun())) return undefined;
    const submitted = await this.ask<Submitted>('dw.run', argument);
    if (submitted !== undefined && text !== undefined) {
      const { uri, step } = argument;
      const given = argument.arguments ?? {};
      this.history.submitted(submitted.runId, { uri, text, arguments: given, ...(step !== undefined && { step }) });
      this.accepted(submitted, promptOf(text, given) ?? 'workflow');
    }
    return submitted;
  }

  /** The server's answer; what it refuses, and what needs a trusted workspace, is shown to the user. */
  public async ask<T>(command: ServerCommand, argument?: object): Promise<T | undefined> {
    if (!vscode.workspace.isTrusted && !HARMLESS.includes(command)) {
      this.log.showWarning('Running needs a trusted workspace: a workflow can load code and read files.', {
        'Manage Trust': () => vscode.commands.executeCommand('workbench.trust.manage'),
      });
      return undefined;
    }
    return this.attempt(() => this.server.execute<T>(command, argument));
  }

  /** Where the steps of a document begin, whether its lenses are shown or not; empty when the server is not there. */
  public async lenses(uri: string): Promise<readonly Lens[]> {
    try {
      const client = await this.server.running();
      return (await client.sendRequest<Lens[] | null>('textDocument/codeLens', { textDocument: { uri } })) ?? [];
    } catch (error) {
      this.log.main.info(`The steps of ${uri} are not known: ${messageOf(error)}`);
      return [];
    }
  }

  /** The step at the cursor; the user has been told when there is none. */
  public async stepUnderCursor(editor: vscode.TextEditor): Promise<string | undefined> {
    const lenses = await this.lenses(editor.document.uri.toString());
    const step = stepAt(lenses, editor.selection.active.line);
    if (step === undefined) this.log.showWarning('Put the cursor into a step: there is none at this line.');
    return step;
  }

  private async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ServerUnavailable) {
        this.log.showError(messageOf(error), { 'Restart Language Server': () => this.server.restart() });
      } else {
        this.log.showError(refusal(messageOf(error)), {
          'Show Problems': () => vscode.commands.executeCommand('workbench.actions.view.problems'),
        });
      }
      return undefined;
    }
  }
}

/** What the server refuses, without the name that its command has among programs. */
function refusal(message: string): string {
  const [, command, reason] = /^dw\.(\w+): (.*)$/s.exec(message) ?? [];
  if (reason === undefined) return message;
  return command === 'run' ? `Not run: ${reason}` : reason;
}

/** The text of an open document. */
export function openText(uri: string): string | undefined {
  return vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri)?.getText();
}
