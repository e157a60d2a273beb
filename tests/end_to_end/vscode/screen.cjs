// What a user sees: opens the editor in a browser, clicks and types, and takes a picture of each state.
//     node screen.cjs SUITE ADDRESS PICTURES CHROMIUM PLAYWRIGHT        (run.py starts it)
// Every wait has a limit; the report goes to DW_TEST_REPORT.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');

const [suiteName, address, pictures, chromiumPath, playwright] = process.argv.slice(2);
const { chromium } = require(playwright);
const FIRST_RUN_MS = 90_000; // the worker imports torch and loads the model
const INSTALL_MS = 420_000;
const SIZE = { width: 1240, height: 720 };
const report = { passed: [], failed: [], pictures: [], times: [] };
let page;

process.on('SIGTERM', () => setTimeout(() => process.exit(143), 500));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const lens = (text) => page.locator('.codelens-decoration a', { hasText: text }).first();
const toast = (text) => page.locator('.notification-toast', { hasText: text }).first();
const statusItem = (id) => page.locator(`[id="dw-lsp.dw-lsp.dwLsp.${id}"]`);

/** @param still where the mouse is belongs to the picture; else it shows no hover of its own */
async function picture(name, still = false) {
  if (!still) await page.mouse.move(SIZE.width / 2, 6);
  await pause(400);
  const file = path.join(pictures, `${name}.png`);
  await page.screenshot({ path: file });
  report.pictures.push(file);
}

/** The page inside the Results view; a webview is a frame within a frame. */
async function results() {
  for (const end = Date.now() + 20_000; Date.now() < end; await pause(100)) {
    for (const frame of page.frames()) {
      if (frame.name() === 'active-frame' || /fake\.html/.test(frame.url())) {
        if ((await frame.locator('#strip').count().catch(() => 0)) > 0) return frame;
      }
    }
  }
  throw new Error('the Results view has not appeared');
}

async function openFile(name) {
  const row = page.locator('.explorer-folders-view .monaco-list-row', { hasText: name }).first();
  await row.dblclick({ timeout: 30_000 });
  await page.locator('.tab.active', { hasText: name }).first().waitFor({ timeout: 20_000 });
  await page.waitForSelector('.monaco-editor .view-lines', { timeout: 20_000 });
}

async function palette(text) {
  await page.keyboard.press('F1');
  const box = page.locator('.quick-input-widget input').first();
  await box.fill(`>Diffusion Workflow: ${text}`);
  await page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first().click({ timeout: 10_000 });
}

async function closeToasts() {
  await page.keyboard.press('Escape');
  for (let i = 0; i < 5 && (await page.locator('.notification-toast').count()) > 0; i += 1) {
    await page.locator('.notification-toast').first().hover();
    await page.locator('.notification-toast .codicon-notifications-clear').first().click({ timeout: 3_000 }).catch(() => {});
  }
}

/** Puts the cursor at the beginning of a line's text. */
async function goToLine(number) {
  await page.keyboard.press('Control+1');
  await page.keyboard.press('Control+g');
  await page.locator('.quick-input-widget input').first().fill(`:${number}`);
  await page.keyboard.press('Enter');
  await page.locator('.quick-input-widget').first().waitFor({ state: 'hidden', timeout: 5_000 });
  await page.keyboard.press('Home');
}

/** Types over all of a line but its indentation. */
async function typeOver(number, text) {
  await goToLine(number);
  await page.keyboard.press('Shift+End');
  await page.keyboard.insertText(text);
  await page.keyboard.press('Home');
}

const PROMPT_LINE = 5; // of shapes.dw.json
const STEPS_LINE = 6;

const runKey = () => page.keyboard.press('Control+Enter');

const screen = {
  async 'a mistake has its squiggle and its message'() {
    await openFile('mistake.dw.json');
    await page.locator('.monaco-editor .cdr.squiggly-error').first().waitFor({ timeout: 40_000 });
    await page.locator('.view-line span', { hasText: 'promt' }).last().hover();
    await page.locator('.monaco-hover:not(.hidden) .hover-contents', { hasText: 'promt' }).first().waitFor({ timeout: 10_000 });
    await pause(400);
    await picture('squiggle', true);
    await page.keyboard.press('Escape');
  },

  async 'completion knows the arguments of the call'() {
    await openFile('shapes.dw.json');
    await lens('Run Workflow').waitFor({ timeout: 20_000 });
    await goToLine(25);
    await page.keyboard.press('End');
    await page.keyboard.insertText(',');
    await page.keyboard.press('Enter');
    await page.keyboard.type('"nega', { delay: 60 });
    const list = page.locator('.suggest-widget.visible .monaco-list-row', { hasText: 'negative_prompt' });
    await list.first().waitFor({ timeout: 15_000 });
    await pause(900);
    await picture('completion');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    for (let i = 0; i < 8; i += 1) await page.keyboard.press('Control+z');
    await pause(300);
  },

  async 'a run shows its preview while the picture forms'() {
    await typeOver(STEPS_LINE, '"steps": 150,');
    await runKey();
    const frame = await results();
    await frame.locator('.running img.picture').waitFor({ timeout: FIRST_RUN_MS });
    await toast('shapes').waitFor({ timeout: 20_000 });
    await pause(600);
    assert.match(await statusItem('run').innerText(), /draw/);
    await picture('running');
    await frame.locator('.result:not(.running) img.picture').waitFor({ timeout: 60_000 });
    await typeOver(STEPS_LINE, '"steps": 20,');
  },

  async 'the results stand in a strip, and the newest is shown'() {
    for (const prompt of [
      'a red circle on a white background',
      'a purple triangle on an orange background',
      'a green square on a black background',
    ]) {
      const frame = await results();
      const before = await frame.locator('#strip .entry').count();
      await typeOver(PROMPT_LINE, `"prompt": "${prompt}",`);
      await runKey();
      await frame.locator('#strip .entry').nth(before).waitFor({ timeout: 30_000 });
      assert.match(await frame.locator('.result h2').innerText(), new RegExp(prompt));
    }
    await pause(700);
    await picture('results');
  },

  async 'two results stand side by side with what is different'() {
    const frame = await results();
    await frame.locator('#strip .entry').nth(2).click({ modifiers: ['Control'] });
    await frame.locator('.sides .side').nth(1).waitFor({ timeout: 10_000 });
    assert.match(await frame.locator('table').innerText(), /variables › prompt/);
    await pause(500);
    await picture('compare');
    await frame.locator('#strip .entry.selected').focus();
    await page.keyboard.press('Escape');
    await frame.locator('.result').waitFor({ timeout: 5_000 });
  },

  async 'the history is worked with the keyboard alone'() {
    const frame = await results();
    const titles = await frame.locator('#strip .entry .title').allInnerTexts();
    await frame.locator('#strip .entry.selected').focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await frame.locator('.result h2', { hasText: titles[1] }).waitFor({ timeout: 5_000 });
    assert.equal(await frame.locator('#strip .entry[aria-selected="true"]').count(), 1);
    await frame.getByRole('button', { name: 'Copy', exact: true }).click();
    await frame.locator('#announced', { hasText: 'The picture was copied' }).waitFor({ state: 'attached', timeout: 5_000 });
    const dragged = await frame.locator('.result img.picture').evaluate((image) => {
      const dataTransfer = new DataTransfer();
      image.dispatchEvent(new DragEvent('dragstart', { dataTransfer }));
      return dataTransfer.getData('text/uri-list');
    });
    assert.match(dragged, /^file:\/\/\/.*\.png$/);
    const again = frame.getByRole('button', { name: 'New Seed' });
    const before = titles.length;
    await again.click();
    await frame.locator('#strip .entry').nth(before).waitFor({ timeout: 30_000 });
  },

  async 'memory is told by component'() {
    await page.locator('.activitybar [aria-label^="Diffusion Workflow"]').first().click();
    await page.locator('.pane-body .monaco-list-row', { hasText: 'unet' }).waitFor({ timeout: 15_000 });
    await statusItem('memory').hover();
    await page.locator('.monaco-hover:not(.hidden)', { hasText: 'UNet2DConditionModel' }).first().waitFor({ timeout: 10_000 });
    await pause(500);
    await picture('memory', true);
    assert.match(await statusItem('memory').innerText(), /CPU \d+\.\d\/\d+\.\d GB/);
    await page.mouse.move(400, 300);
    await page.keyboard.press('Control+Shift+E');
    await page.locator('.explorer-folders-view .monaco-list-row').first().waitFor({ timeout: 10_000 });
  },

  async 'the error of a run stands at its step'() {
    await page.keyboard.press('Control+1');
    await openFile('fails.dw.json');
    await lens('Run Workflow').waitFor({ timeout: 20_000 });
    await goToLine(2);
    await runKey();
    await toast('The run failed').waitFor({ timeout: 60_000 });
    await toast('The run failed').getByRole('button', { name: 'Go to Step' }).click();
    await page.locator('.monaco-editor .cdr.squiggly-error').first().waitFor({ timeout: 10_000 });
    await pause(500);
    await picture('error');
    await closeToasts();
  },

  async 'the view comes back after a reload'() {
    const before = await (await results()).locator('#strip .entry').count();
    await page.reload({ waitUntil: 'domcontentloaded' });
    await page.waitForSelector('.monaco-workbench', { timeout: 60_000 });
    const frame = await results();
    await frame.locator('#strip .entry').nth(before - 1).waitFor({ timeout: 20_000 });
    await frame.locator('.result img.picture, .result.failed').first().waitFor({ timeout: 20_000 });
  },
};

/** A new user with nothing installed: each step with its time. */
const beginner = {
  async 'the folder is opened and trusted'() {
    const dialog = page.locator('.monaco-dialog-box');
    await dialog.waitFor({ timeout: 30_000 });
    await picture('start-1-trust');
    await dialog.getByRole('button', { name: /Yes, I trust/ }).click();
  },

  async 'the message says what is missing, with the ways on'() {
    await openFile('shapes.dw.json');
    const message = toast('cannot be run yet');
    await message.waitFor({ timeout: 40_000 });
    await message.hover();
    for (const name of ['Install in Terminal', 'Select Interpreter', 'Show Log']) {
      await message.getByRole('button', { name }).waitFor({ timeout: 5_000 });
    }
    await pause(400);
    await picture('start-2-missing');
  },

  async 'its button installs what is missing'() {
    await toast('cannot be run yet').getByRole('button', { name: 'Install in Terminal' }).click();
    await page.locator('.terminal-wrapper.active').waitFor({ timeout: 20_000 });
    await pause(6_000);
    await picture('start-3-install');
    await page.waitForFunction(
      () => /worker|CPU|GPU/.test(document.querySelector('[id="dw-lsp.dw-lsp.dwLsp.memory"]')?.textContent ?? ''),
      null,
      { timeout: INSTALL_MS },
    );
    await picture('start-4-installed');
  },

  async 'the workflow runs to a picture'() {
    await goToLine(STEPS_LINE);
    await runKey();
    const frame = await results();
    await frame.locator('.result:not(.running) img.picture').waitFor({ timeout: FIRST_RUN_MS });
    await pause(700);
    await picture('start-5-picture');
  },
};

const suites = { screen, beginner };

async function main() {
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
  });
  const context = await browser.newContext({ viewport: SIZE, permissions: ['clipboard-read', 'clipboard-write'] });
  // Nothing outside of this machine: it must work offline.
  await context.route('**/*', (route) => {
    const host = new URL(route.request().url()).hostname;
    return ['127.0.0.1', 'localhost'].includes(host) || host.endsWith('.localhost') ? route.continue() : route.abort();
  });
  page = await context.newPage();
  const began = Date.now();
  await page.goto(address, { waitUntil: 'domcontentloaded' });
  await page.waitForSelector('.monaco-workbench', { timeout: 60_000 });
  report.times.push(`the editor is open (${Date.now() - began} ms)`);
  for (const [name, test] of Object.entries(suites[suiteName])) {
    const start = Date.now();
    try {
      await test();
      report.passed.push(`${name} (${Date.now() - start} ms)`);
      report.times.push(`${name} (${Date.now() - start} ms)`);
    } catch (error) {
      await picture(`failed-${report.failed.length + 1}`).catch(() => {});
      report.failed.push(`${name}: ${error.stack}`);
      if (suiteName === 'beginner') break;
    }
  }
  await browser.close();
}

main()
  .catch((error) => report.failed.push(`the editor: ${error.stack}`))
  .finally(() => {
    const file = process.env.DW_TEST_REPORT;
    fs.writeFileSync(`${file}.part`, JSON.stringify(report));
    fs.renameSync(`${file}.part`, path.resolve(file));
    process.exit(0);
  });
