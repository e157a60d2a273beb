/** The Worker view in the side bar: shows what `treeModel` says. */
import * as vscode from 'vscode';

import type { MemoryReport, RunFinished, RunStarted, Submitted, WorkerState } from '../protocol.js';
import type { History } from '../runs/history.js';
import { workerTree, type QueuedRun, type TreeNode } from './treeModel.js';

/** Told at most this often while a run goes on. */
const PACE_MILLISECONDS = 250;

export class WorkerTree implements vscode.Disposable, vscode.TreeDataProvider<TreeNode> {
  private readonly changed = new vscode.EventEmitter<undefined>();
  public readonly onDidChangeTreeData = this.changed.event;
  private readonly view: vscode.Disposable;
  private state: WorkerState | undefined;
  private memory: MemoryReport | undefined;
  private queued: readonly QueuedRun[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly before: ReadonlySet<string>;

  public constructor(private readonly history: History) {
    this.before = new Set(history.records.map((record) => record.id));
    this.view = vscode.window.registerTreeDataProvider('dwLsp.worker', this);
  }

  public getTreeItem(node: TreeNode): vscode.TreeItem {
    const { None, Expanded, Collapsed } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, node.children === undefined ? None : node.open ? Expanded : Collapsed);
    item.id = node.id;
    item.iconPath = new vscode.ThemeIcon(node.icon);
    if (node.description !== undefined) item.description = node.description;
    if (node.kind !== undefined) item.contextValue = node.kind;
    item.tooltip = node.tooltip ?? [node.label, node.description].filter(Boolean).join(': ');
    if (node.file !== undefined) {
      item.resourceUri = vscode.Uri.file(node.file);
      item.command = { command: 'vscode.open', title: 'Open', arguments: [vscode.Uri.file(node.file)] };
    }
    return item;
  }

  public getChildren(node?: TreeNode): TreeNode[] {
    return [...(node === undefined ? this.top() : (node.children ?? []))];
  }

  /** What the view shows at its top, for tests and other extensions. */
  public top(): readonly TreeNode[] {
    const session = this.history.records.filter((record) => !this.before.has(record.id));
    const { state, memory, queued } = this;
    return workerTree({ state, memory, queued, session, current: this.history.current });
  }

  public workerState(state: WorkerState): void {
    this.state = state;
    if (state.state === 'stopped' || state.state === 'crashed') this.memory = undefined;
    this.tell();
  }

  public showMemory(memory: MemoryReport): void {
    this.memory = memory;
    this.tell();
  }

  public submitted({ runId, position }: Submitted, title: string): void {
    if (position === 0 || this.history.current?.started.runId === runId) return;
    this.queued = [...this.queued.filter((run) => run.runId !== runId), { runId, title }];
    this.tell();
  }

  public started({ runId }: RunStarted): void {
    this.queued = this.queued.filter((run) => run.runId !== runId);
    this.tell();
  }

  public finished({ runId }: RunFinished): void {
    this.queued = this.queued.filter((run) => run.runId !== runId);
    this.tell();
  }

  public progress(): void {
    this.tell();
  }

  /** The server is gone, and what it said does not hold any more. */
  public reset(): void {
    this.state = undefined;
    this.memory = undefined;
    this.queued = [];
    this.tell();
  }

  public dispose(): void {
    clearTimeout(this.timer);
    this.view.dispose();
    this.changed.dispose();
  }

  private tell(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.changed.fire(undefined);
    }, PACE_MILLISECONDS);
  }
}
