/**
 * Messages that the server shows by itself, in the form of the extension's own: logged, and with a way on.
 */
import * as vscode from 'vscode';
import { MessageType, ShowMessageNotification, type LanguageClient } from 'vscode-languageclient/node';

import type { Log } from '../log.js';
import type { WorkerInterpreter } from './packages.js';

/** Said where the worker's Python has no diffusers, which the user hears of with the way to install it. */
const SMALL_CATALOGUE = 'are checked against a small list';

/** @param worker the worker's Python, as far as it is known */
export function showMessagesOf(
  client: LanguageClient,
  log: Log,
  worker: () => Promise<WorkerInterpreter | undefined>,
): void {
  client.onNotification(ShowMessageNotification.type, ({ type, message }) => {
    void worker().then((python) => {
      const told = message.includes(SMALL_CATALOGUE) && (python?.missing.length ?? 0) > 0;
      if (told) log.main.info(message);
      else if (type === MessageType.Error) log.showError(message);
      else if (type === MessageType.Warning) log.showWarning(message);
      else void vscode.window.showInformationMessage(message);
    });
  });
}
