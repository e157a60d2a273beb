/**
 * The server's process: started by us and not by the language client, so that a server that dies at once or never
 * answers can be named with its last words, and ended. Knows neither the editor nor the protocol.
 */
import { spawn, type ChildProcess } from 'node:child_process';

const LINES_KEPT = 20;

export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
}

export class ServerProcess {
  public readonly child: ChildProcess;
  /** Resolves with a sentence on how the process ended, or why it could not be started. */
  public readonly ended: Promise<string>;
  private lastLines: string[] = [];
  private over = false;

  /** @param folder working directory; `undefined` is the parent's */
  public constructor(line: CommandLine, folder: string | undefined) {
    this.child = spawn(line.command, [...line.args], {
      ...(folder !== undefined && { cwd: folder }),
      windowsHide: true,
    });
    this.child.stderr?.on('data', (data: Buffer) => {
      this.keep(data.toString('utf8'));
    });
    // A pipe that breaks is told by the end of the process; without a listener it would end the extension host.
    this.child.stdin?.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => {
        this.over = true;
        resolve(`${line.command} could not be started: ${error.message}`);
      });
      this.child.once('close', (code, signal) => {
        this.over = true;
        resolve(this.sentence(code, signal));
      });
    });
  }

  /** Ends the process, now. */
  public kill(): void {
    if (!this.over) this.child.kill('SIGKILL');
  }

  private keep(text: string): void {
    this.lastLines = [...this.lastLines, ...text.split(/\r?\n/).filter((line) => line.trim() !== '')].slice(
      -LINES_KEPT,
    );
  }

  private sentence(code: number | null, signal: NodeJS.Signals | null): string {
    const how = signal === null ? `ended with code ${code ?? 'unknown'}` : `was ended by ${signal}`;
    const last = this.lastLines.at(-1);
    return last === undefined ? `it ${how}` : `it ${how}: ${last}`;
  }
}
