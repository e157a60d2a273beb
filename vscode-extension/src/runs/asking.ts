/**
 * Questions before a run: the values of the variables, several values of one of them. What was typed last is
 * proposed again, for each document.
 */
import * as vscode from 'vscode';

import { messageOf } from '../log.js';
import { typed, valueOf, valuesOf, type Variable } from './arguments.js';

type Values = Readonly<Record<string, unknown>>;

export class Questions {
  public constructor(private readonly memento: vscode.Memento) {}

  /** Values for the variables, `undefined` when the user leaves. Only what differs from its default is given. */
  public async values(uri: string, variables: readonly Variable[]): Promise<Values | undefined> {
    const last = this.last(uri);
    const given: Record<string, unknown> = {};
    for (const [index, variable] of variables.entries()) {
      const text = await ask({
        title: `Run with Arguments (${index + 1} of ${variables.length})`,
        prompt: `${variable.name}. Enter takes the value, Escape leaves without running.`,
        value: typed(last[variable.name] ?? variable.value),
        check: (input) => valueOf(variable, input),
      });
      if (text === undefined) return undefined;
      const value = valueOf(variable, text);
      if (JSON.stringify(value) !== JSON.stringify(variable.value)) given[variable.name] = value;
    }
    await this.memento.update(keyOf(uri), given);
    return given;
  }

  /** One variable and several values for it, `undefined` when the user leaves. */
  public async variants(
    uri: string,
    variables: readonly Variable[],
  ): Promise<{ readonly name: string; readonly values: readonly unknown[] } | undefined> {
    const items = variables.map((variable) => ({ label: variable.name, description: typed(variable.value), variable }));
    const title = 'Run Selection of Variants';
    const chosen = await vscode.window.showQuickPick(items, { title, placeHolder: 'Which variable takes the values?' });
    if (chosen === undefined) return undefined;
    const { variable } = chosen;
    const text = await ask({
      title: `${title}: ${variable.name}`,
      prompt:
        variable.kind === 'number'
          ? 'Values between commas, or 1..5, or 0.2..1..0.2'
          : 'Values between bars: a | b | c',
      value: this.memento.get(`${keyOf(uri)}:${variable.name}`, typed(variable.value)),
      check: (input) => valuesOf(variable, input),
    });
    if (text === undefined) return undefined;
    await this.memento.update(`${keyOf(uri)}:${variable.name}`, text);
    return { name: variable.name, values: valuesOf(variable, text) };
  }

  private last(uri: string): Values {
    return this.memento.get<Values>(keyOf(uri), {});
  }
}

function keyOf(uri: string): string {
  return `arguments:${uri}`;
}

interface Question {
  readonly title: string;
  readonly prompt: string;
  readonly value: string;
  /** Throws an error whose message is shown below the box. */
  readonly check: (input: string) => unknown;
}

function ask({ title, prompt, value, check }: Question): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    title,
    prompt,
    value,
    ignoreFocusOut: true,
    validateInput: (input) => {
      try {
        check(input);
        return undefined;
      } catch (error) {
        return messageOf(error);
      }
    },
  });
}
