/**
 * *Install in Terminal*: runs the commands of an installation where their output can be read and Ctrl+C ends them.
 * The terminal is ours and not a shell, so that it works with any shell and its end is known.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as vscode from 'vscode';

import type { Installation } from './packages.js';

const CONTROL_C = '\u0003';

class InstallTerminal implements vscode.Pseudoterminal {
  private readonly written = new vscode.EventEmitter<string>();
  public readonly onDidWrite = this.written.event;
  private readonly closing = new vscode.EventEmitter<number>();
  public readonly onDidClose = this.closing.event;
  private child: ChildProcess | undefined;
  private stopped = false;
  private settle: (well: boolean) => void = () => undefined;
  public readonly done = new Promise<boolean>((resolve) => {
    this.settle = resolve;
  });

  public constructor(private readonly installation: Installation) {}

  public open(): void {
    void this.work();
  }

  public close(): void {
    this.stop();
  }

  public handleInput(data: string): void {
    if (data === CONTROL_C) this.stop();
  }

  private async work(): Promise<void> {
    if (this.installation.reason !== undefined) this.say(this.installation.reason);
    for (const [program, ...args] of this.installation.commands) {
      this.say(`\u001b[1m> ${[program, ...args].join(' ')}\u001b[0m`);
      const problem = await this.run(program, args);
      if (problem !== undefined) {
        this.say(`\u001b[31m${problem}\u001b[0m`);
        if (args.includes('venv')) this.say('On Debian and Ubuntu it may need: sudo apt install python3-venv');
        this.settle(false);
        return;
      }
    }
    this.say('\u001b[32mInstalled.\u001b[0m The worker starts with it now.');
    this.settle(true);
  }

  /** Why the program did not do its work; `undefined` when it did. */
  private run(program: string, args: readonly string[]): Promise<string | undefined> {
    if (this.stopped) return Promise.resolve('Stopped.');
    return new Promise((resolve) => {
      const child = spawn(program, args, { windowsHide: true, stdio: ['ignore', 'pipe', 'pipe'] });
      this.child = child;
      const show = (data: Buffer): void => {
        this.written.fire(data.toString('utf8').replace(/\r?\n/g, '\r\n'));
      };
      child.stdout.on('data', show);
      child.stderr.on('data', show);
      child.once('error', (error) => {
        resolve(`It could not be started: ${error.message}`);
      });
      child.once('close', (code) => {
        if (this.stopped) resolve('Stopped.');
        else resolve(code === 0 ? undefined : `It ended with code ${code ?? 'unknown'}. The lines above say why.`);
      });
    });
  }

  private say(line: string): void {
    this.written.fire(`${line}\r\n`);
  }

  private stop(): void {
    this.stopped = true;
    this.child?.kill();
  }
}

/** Installs, visibly. Resolves with whether it went well. */
export function installInTerminal(installation: Installation): Promise<boolean> {
  const pty = new InstallTerminal(installation);
  const terminal = vscode.window.createTerminal({ name: 'Install torch and diffusers', pty });
  terminal.show();
  return pty.done;
}
