/** Lets the user choose another Python. */
import * as vscode from 'vscode';

import { pathSetting } from './client.js';

/**
 * With the Python extension's picker where that decides, else in the settings, which come before it.
 */
export async function selectInterpreter(whose: 'server' | 'worker'): Promise<void> {
  const set = ['server.python', 'worker.python'].some((name) => pathSetting(name) !== undefined);
  const commands = await vscode.commands.getCommands(true);
  if (!set && commands.includes('python.setInterpreter')) {
    await vscode.commands.executeCommand('python.setInterpreter');
  } else {
    await chooseFile(whose);
  }
}

/** A box for the path, with a way to the file dialog and to the settings. */
async function chooseFile(whose: 'server' | 'worker'): Promise<void> {
  const name = `${whose}.python`;
  const items = [
    { label: '$(folder-opened) Find the program...', action: 'find' },
    { label: '$(edit) Enter its path...', action: 'enter' },
    { label: '$(gear) Open the setting', action: 'setting' },
  ] as const;
  const title = whose === 'worker' ? 'Python with torch and diffusers' : 'Python 3.10 or newer for the language server';
  const chosen = await vscode.window.showQuickPick(items, { title });
  if (chosen?.action === 'setting') await openSetting(name);
  else if (chosen !== undefined) await use(name, await pathFor(name, title, chosen.action));
}

async function pathFor(name: string, title: string, how: 'find' | 'enter'): Promise<string | undefined> {
  if (how === 'enter')
    return vscode.window.showInputBox({ title, value: pathSetting(name) ?? '', ignoreFocusOut: true });
  return (await vscode.window.showOpenDialog({ title, canSelectMany: false }))?.[0]?.fsPath;
}

/** Where the interpreter is on another machine, that one has the setting; the user's own page would be empty. */
async function openSetting(name: string): Promise<void> {
  const page = vscode.env.remoteName === undefined ? 'openSettings' : 'openRemoteSettings';
  await vscode.commands.executeCommand(`workbench.action.${page}`, { query: `dw.${name}` });
}

/** Writes the setting; an empty path removes it, none leaves it alone. */
async function use(name: string, path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const { Global, Workspace } = vscode.ConfigurationTarget;
  const target = vscode.workspace.workspaceFolders === undefined ? Global : Workspace;
  await vscode.workspace.getConfiguration('dw').update(name, path === '' ? undefined : path, target);
}
