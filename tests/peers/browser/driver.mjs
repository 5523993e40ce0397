// Drives Chromium by lines of JSON: {"do": NAME, ...} in, {"ok": VALUE} or {"failed": TEXT} out, one after the other.
//
// A profile is a browser of its own: cookies, passkeys and all. Every command but `open` names one.
//   open {script, dark, width, height}     a profile with a page, gives its number; with `profile`, another tab of that
//   goto {url}                             gives {status, headers, url}; answers of redirects are left out
//   click {selector} | fill {selector, value} | press {key} | wait {selector} | arrive {path}
//   text {} | html {} | url {} | cookies {} | forget {} | evaluate {expression}
//   focused {}                             what has the keyboard: {tag, name, outline}
//   said {}                                what the page complained about since it was asked last
//   catch {path} | caught {}               the next way to that path is not taken; gives where it would have led
//   shot {file} | axe {} | passkey {}      `axe` gives what is wrong for those who cannot see; `passkey` plugs in an authenticator
//   close {}
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

import { say } from '../lib/cli.mjs';

const PATIENCE_MS = 20_000;
const peers = process.env.PORTCULLIS_PEERS;
const installed = createRequire(`${peers}/browser/package.json`);
const { chromium } = installed('playwright-core');
const axe = readFileSync(installed.resolve('axe-core/axe.min.js'), 'utf8');

const root = `${peers}/chromium`;
const libraries = `${root}/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const browser = await chromium.launch({
  executablePath: `${root}/usr/lib/chromium/chromium-headless-shell`,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
  env: {
    ...process.env,
    LD_LIBRARY_PATH: [libraries, `${libraries}/pulseaudio`, libraries.replace('/usr/', '/')].join(':'),
    FONTCONFIG_FILE: `${root}/fonts.conf`,
  },
});
const profiles = [];

const COMMANDS = {
  async open({ script = true, dark = false, width = 1000, height = 800 }, beside) {
    const context = beside?.context ?? await browser.newContext({
      javaScriptEnabled: script,
      colorScheme: dark ? 'dark' : 'light',
      viewport: { width, height },
    });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const said = [];
    page.on('console', (line) => said.push(line.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    return profiles.push({ context, page, said }) - 1;
  },
  async goto({ url }, { page }) {
    const answer = await page.goto(url);
    return { status: answer?.status(), headers: await answer?.allHeaders(), url: page.url() };
  },
  async click({ selector }, { page }) {
    await page.click(selector);
    await page.waitForLoadState();
  },
  fill: ({ selector, value }, { page }) => page.fill(selector, value),
  async press({ key }, { page }) {
    await page.keyboard.press(key);
    await page.waitForLoadState();
  },
  wait: ({ selector }, { page }) => page.waitForSelector(selector).then(() => undefined),
  arrive: ({ path }, { page }) => page.waitForURL((now) => now.pathname === path),
  text: (_, { page }) => page.innerText('body'),
  html: (_, { page }) => page.content(),
  url: (_, { page }) => page.url(),
  cookies: (_, { context }) => context.cookies(),
  forget: (_, { context }) => context.clearCookies(),
  evaluate: ({ expression }, { page }) => page.evaluate(expression),
  focused: (_, { page }) => page.evaluate(() => {
    const now = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(now);
    return {
      tag: now.tagName,
      name: (now.innerText || now.value || now.name || '').trim(),
      outline: outlineStyle === 'none' ? '' : outlineWidth,
    };
  }),
  said: (_, { said }) => said.splice(0),
  // Redirects too, which Playwright's own routes do not see.
  async catch({ path }, profile) {
    const session = await profile.context.newCDPSession(profile.page);
    await session.send('Fetch.enable', { patterns: [{ urlPattern: `*${path}*` }] });
    profile.caught = new Promise((resolve) => session.once('Fetch.requestPaused', async ({ requestId, request }) => {
      await session.send('Fetch.failRequest', { requestId, errorReason: 'Aborted' });
      await session.send('Fetch.disable');
      resolve(request.url);
    }));
  },
  caught: (_, { caught }) => caught,
  shot: ({ file }, { page }) => page.screenshot({ path: file, fullPage: true }).then(() => undefined),
  async axe(_, { page }) {
    await page.evaluate(axe);
    // It takes a page without a background for white, and in the dark it is not.
    await page.evaluate(() => { document.documentElement.style.backgroundColor ||= 'Canvas'; });
    const { violations } = await page.evaluate('axe.run()');
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
  },
  async passkey(_, { context, page }) {
    const session = await context.newCDPSession(page);
    await session.send('WebAuthn.enable', { enableUI: false });
    await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
  },
  close: (_, { context }) => context.close(),
};

say({ ok: browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, profile, ...rest } = JSON.parse(line);
  try {
    say({ ok: await COMMANDS[name](rest, profiles[profile]) ?? null });
  } catch (error) {
    say({ failed: `${name}: ${error.message}` });
  }
}
await browser.close();
