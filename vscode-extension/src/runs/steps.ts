/**
 * Which step stands at a line. The server knows the document; its lenses say where each step begins.
 */
import type { Range } from '../protocol.js';

/** The part of an LSP code lens that is needed here. */
export interface Lens {
  readonly range: Range;
  readonly command?: { readonly command: string; readonly arguments?: readonly unknown[] };
}

/** Name of the last step that begins at or above the line, `undefined` above the first. */
export function stepAt(lenses: readonly Lens[], line: number): string | undefined {
  let found: { line: number; step: string } | undefined;
  for (const [step, start] of linesOfSteps(lenses)) {
    if (start <= line && start >= (found?.line ?? 0)) found = { line: start, step };
  }
  return found?.step;
}

/** The line at which each step has its name. */
export function linesOfSteps(lenses: readonly Lens[]): ReadonlyMap<string, number> {
  return new Map(
    lenses.flatMap((lens) => {
      const step = stepOf(lens);
      return step === undefined ? [] : [[step, lens.range.start.line] as const];
    }),
  );
}

function stepOf(lens: Lens): string | undefined {
  const argument = lens.command?.arguments?.[0];
  if (typeof argument !== 'object' || argument === null || !('step' in argument)) return undefined;
  return typeof argument.step === 'string' ? argument.step : undefined;
}
