/**
 * The output channels, and messages to the user that never come without a way on. Knows no server and no run.
 */
import * as vscode from 'vscode';

import type { Log as WorkerLine } from './protocol.js';

/** What a button of a message does, by its title. */
export type Buttons = Readonly<Record<string, () => unknown>>;

export class Log implements vscode.Disposable {
  /** What the extension and the worker's libraries say. */
  public readonly main = vscode.window.createOutputChannel('dw-lsp', { log: true });
  /** What the server says, and the protocol trace. */
  public readonly server = vscode.window.createOutputChannel('dw-lsp Server');

  public show(): void {
    this.main.show(true);
  }

  /** Logs an error and shows it with the given buttons and *Show Log*. Does not wait for an answer. */
  public showError(message: string, buttons: Buttons = {}): void {
    this.main.error(message);
    void this.answer(vscode.window.showErrorMessage(message, ...this.titles(buttons)), buttons);
  }

  /** The same for a warning. */
  public showWarning(message: string, buttons: Buttons = {}): void {
    this.main.warn(message);
    void this.answer(vscode.window.showWarningMessage(message, ...this.titles(buttons)), buttons);
  }

  /** Writes a line that the worker's libraries printed. */
  public worker({ level, message }: WorkerLine): void {
    const line = `worker: ${message}`;
    if (level === 'error') this.main.error(line);
    else if (level === 'warning') this.main.warn(line);
    else if (level === 'info') this.main.info(line);
    else this.main.debug(line);
  }

  public dispose(): void {
    this.main.dispose();
    this.server.dispose();
  }

  private titles(buttons: Buttons): string[] {
    return [...Object.keys(buttons), SHOW_LOG];
  }

  private async answer(shown: Thenable<string | undefined>, buttons: Buttons): Promise<void> {
    const title = await shown;
    if (title === SHOW_LOG) {
      this.show();
    } else if (title !== undefined) {
      await buttons[title]?.();
    }
  }
}

const SHOW_LOG = 'Show Log';

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
