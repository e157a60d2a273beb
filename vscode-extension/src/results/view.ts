/**
 * The Results view: a page beside the workflow with the running picture, the last one and the history. Its content
 * lives in `History`; the page can be closed, reloaded and moved at any time and gets all of it anew.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as path from 'node:path';
import * as vscode from 'vscode';

import type { Log } from '../log.js';
import type { History } from '../runs/history.js';
import type { FromPage, ToPage } from './messages.js';
import { page } from './page.js';
import { resultsState, type Selection } from './presenting.js';

export const VIEW_TYPE = 'dwLsp.results';
/** The page is told at most this often while a run goes on. */
const PACE_MILLISECONDS = 60;

/** What the page's buttons do. */
export type Act = (message: Extract<FromPage, { type: 'entry' | 'cancel' }>) => unknown;

export class ResultsView implements vscode.Disposable, vscode.WebviewPanelSerializer {
  private panel: vscode.WebviewPanel | undefined;
  private selection: Selection = { selected: undefined, compared: undefined };
  private timer: NodeJS.Timeout | undefined;
  private readonly registration = vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, this);

  public constructor(
    private readonly extension: vscode.Uri,
    private readonly history: History,
    private readonly log: Log,
    private readonly act: Act,
  ) {}

  /** Opens the view beside the active editor, or shows it where it is; the focus stays where it was. */
  public show(beside = vscode.ViewColumn.Beside): void {
    if (this.panel !== undefined) {
      if (!this.panel.visible) this.panel.reveal(undefined, true);
      return;
    }
    const place = { viewColumn: beside, preserveFocus: true };
    this.adopt(vscode.window.createWebviewPanel(VIEW_TYPE, 'Results', place, { retainContextWhenHidden: false }));
  }

  /** Called by the editor for a view that was open when it was closed. */
  public deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    this.adopt(panel);
    return Promise.resolve();
  }

  public select(id: string | undefined): void {
    this.selection = { selected: id, compared: undefined };
    this.send();
  }

  /** Shows a new result in place of the one that was shown, but leaves a comparison alone. */
  public selectNewest(id: string): void {
    if (this.selection.compared === undefined) this.select(id);
  }

  public compare(left: string, right: string): void {
    this.selection = { selected: left, compared: right };
    this.show();
    this.send();
  }

  /** Something has changed: the page hears of it soon. */
  public changed(): void {
    if (this.panel === undefined) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.send();
    }, PACE_MILLISECONDS);
  }

  public dispose(): void {
    clearTimeout(this.timer);
    this.registration.dispose();
    this.panel?.dispose();
  }

  private adopt(panel: vscode.WebviewPanel): void {
    this.panel?.dispose();
    this.panel = panel;
    panel.iconPath = vscode.Uri.joinPath(this.extension, 'icon.png');
    panel.onDidDispose(() => {
      if (this.panel === panel) this.panel = undefined;
    });
    panel.webview.onDidReceiveMessage((message: FromPage) => {
      this.hear(message);
    });
    this.load(panel.webview);
  }

  private load(webview: vscode.Webview): void {
    const own = vscode.Uri.joinPath(this.extension, 'dist');
    webview.options = { enableScripts: true, localResourceRoots: [own, ...this.pictureFolders()] };
    webview.html = page({
      source: webview.cspSource,
      nonce: randomBytes(18).toString('base64'),
      script: webview.asWebviewUri(vscode.Uri.joinPath(own, 'results.js')).toString(),
      style: webview.asWebviewUri(vscode.Uri.joinPath(own, 'results.css')).toString(),
    });
  }

  /** The workspace's folders, and those that hold the results of runs elsewhere. */
  private pictureFolders(): vscode.Uri[] {
    const folders = (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath);
    const elsewhere = this.history.records
      .flatMap((record) => record.files.map((file) => path.dirname(path.dirname(file.path))))
      .filter((folder) => !folders.some((one) => folder.startsWith(one + path.sep)));
    return [...new Set([...folders, ...elsewhere])].map((folder) => vscode.Uri.file(folder));
  }

  private hear(message: FromPage): void {
    if (message.type === 'entry' || message.type === 'cancel') {
      void this.act(message);
    } else if (message.type === 'told') {
      this.log.main.info(`Results: ${message.text}`);
    } else {
      if (message.type === 'select') this.selection = { selected: message.id, compared: undefined };
      if (message.type === 'compare') this.selection = this.withCompared(message.id);
      if (message.type === 'endComparison') this.selection = { ...this.selection, compared: undefined };
      this.send();
    }
  }

  private withCompared(id: string): Selection {
    const selected = this.selection.selected ?? this.history.records[0]?.id;
    return { selected, compared: id === selected ? undefined : id };
  }

  private send(): void {
    const { panel } = this;
    if (panel === undefined) return;
    this.allowNewFolders(panel.webview);
    const { current, records } = this.history;
    const shown = { current, records, selection: this.selection, trusted: vscode.workspace.isTrusted };
    const state = resultsState(shown, {
      inPage: (file) => (existsSync(file) ? panel.webview.asWebviewUri(vscode.Uri.file(file)).toString() : undefined),
      outside: (file) => vscode.Uri.file(file).toString(),
    });
    const message: ToPage = { type: 'state', state };
    void panel.webview.postMessage(message);
  }

  /** A run has written into a folder that the page may not read yet: the page is made anew with it. */
  private allowNewFolders(webview: vscode.Webview): void {
    const allowed = new Set((webview.options.localResourceRoots ?? []).map((uri) => uri.toString()));
    if (this.pictureFolders().some((folder) => !allowed.has(folder.toString()))) this.load(webview);
  }
}
