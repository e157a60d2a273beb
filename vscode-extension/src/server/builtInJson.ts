/**
 * The editor's own JSON support marks syntax mistakes and double keys, too, in documents of its languages. What it says
 * is not said twice. Pure functions.
 */

/** Findings of ours that it has as well. */
const DOUBLED = new Set(['syntax', 'duplicate-key']);
const ITS_LANGUAGES = new Set(['json', 'jsonc']);

/** The part of a diagnostic that is needed here. */
export interface Coded {
  readonly code?: string | number | { readonly value: string | number } | undefined;
}

/** @param validates whether the editor's JSON support is there and switched on */
export function withoutDoubles<T extends Coded>(findings: readonly T[], language: string, validates: boolean): T[] {
  if (!validates || !ITS_LANGUAGES.has(language)) return [...findings];
  return findings.filter(({ code }) => !DOUBLED.has(String(typeof code === 'object' ? code.value : code)));
}
