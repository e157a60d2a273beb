/**
 * The worker's memory against its budget, and its components, as they are shown. Pure functions of the report.
 */
import type { Component, MemoryReport } from '../protocol.js';
import { memoryText, size } from '../runs/wording.js';

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

/** The budget in bytes: a fraction of the whole, or a size such as `20GB`. `undefined` when it cannot be told. */
export function budgetBytes(setting: unknown, total: number | null): number | undefined {
  if (typeof setting === 'string') return writtenBytes(setting) ?? budgetBytes(Number(setting), total);
  if (typeof setting !== 'number' || total === null) return undefined;
  return setting > 0 && setting <= 1 ? setting * total : undefined;
}

function writtenBytes(text: string): number | undefined {
  const [, number, unit = ''] = /^\s*([\d.]+)\s*([a-z]+)\s*$/i.exec(text) ?? [];
  const bytes = Number(number) * (UNITS[unit.toLowerCase()] ?? NaN);
  return Number.isFinite(bytes) ? bytes : undefined;
}

/** Bytes that the kept components fill on the report's device. */
export function componentBytes(report: MemoryReport): number {
  return report.components
    .filter((component) => component.device === report.device)
    .reduce((sum, component) => sum + component.bytes, 0);
}

/** Whether more is held than the budget allows, or the worker itself warns. */
export function isAboveBudget(report: MemoryReport, setting: unknown): boolean {
  const budget = budgetBytes(setting, report.totalBytes);
  const held = Math.max(componentBytes(report), report.allocatedBytes ?? 0);
  return report.warnings.length > 0 || (budget !== undefined && held > budget);
}

/** The largest first. */
export function bySize(components: readonly Component[]): readonly Component[] {
  return [...components].sort((one, other) => other.bytes - one.bytes);
}

/** The tooltip in Markdown: the facts, then a table of the components. */
export function memoryTooltip(report: MemoryReport, budget: unknown): string {
  const allowed = budgetBytes(budget, report.totalBytes);
  const facts: [string, number | null | undefined][] = [
    ['free', report.freeBytes],
    ['budget', allowed],
    ['peak of the last run', report.peakBytes],
    ['worker process', report.processBytes],
    ['free on the host', report.hostFreeBytes],
    ['growth', report.growthBytes],
  ];
  const known = facts.flatMap(([name, bytes]) =>
    bytes === null || bytes === undefined ? [] : [`${name} ${size(bytes)}`],
  );
  const rows = bySize(report.components).map(
    (component) =>
      `| ${cell(component.name)} | ${cell(component.class)} | ${component.device} | ${size(component.bytes)} |`,
  );
  const table =
    rows.length === 0
      ? 'No model is loaded.'
      : ['| component | class | on | size |', '|:--|:--|:--|--:|', ...rows].join('\n');
  const warnings = report.warnings.map((warning) => `$(warning) ${cell(warning)}`);
  const head = `**${cell(report.deviceName)}** ${memoryText(report)}`;
  return [head, known.join(' · '), ...warnings, table, 'Click for the report.'].join('\n\n');
}

/** Text that cannot become markup or end a cell. */
function cell(text: string): string {
  return text.replace(/[\\`*_{}[\]<>|$]/g, '\\$&').replace(/\s+/g, ' ');
}
