// A user with a browser that knows cookies, forms and redirects, and no script.
const MAX_HOPS = 8;
const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', '#x27': "'", '#x2F': '/' };
const plain = (text) => text.replace(/&(\w+|#x\w+);/g, (whole, name) => ENTITIES[name] ?? whole);
const attribute = (tag, name) => {
  const found = new RegExp(`\\b${name}="([^"]*)"`).exec(tag);
  return found ? plain(found[1]) : undefined;
};

export class Person {
  #jars = new Map();

  /** Opens a page, and every page to which it leads by itself; gives the last, as {status, url, html}. */
  async open(url, form) {
    let [next, body] = [new URL(url), form];
    for (let hops = 0; hops < MAX_HOPS; hops += 1) {
      const answer = await this.#ask(next, body);
      const there = answer.headers.get('location');
      const html = await answer.text();
      const again = /^0; url=(.+)$/.exec(answer.headers.get('refresh') ?? '')?.[1];
      if (!there && !again) return { status: answer.status, url: next, html };
      [next, body] = [new URL(there ?? again, next), undefined];
    }
    throw new Error(`${url} leads round in circles`);
  }

  /** Presses the button of that name on a page. */
  async press(page, name) {
    for (const [, tag, inside] of page.html.matchAll(/(<form[^>]*>)(.*?)<\/form>/gs)) {
      const button = [...inside.matchAll(/(<button[^>]*>)([^<]*)</g)].find(([, , text]) => plain(text).startsWith(name));
      if (!button) continue;
      const form = new URLSearchParams();
      for (const tag of [...inside.match(/<input[^>]*>/g) ?? [], button[1]]) {
        if (attribute(tag, 'name')) form.append(attribute(tag, 'name'), attribute(tag, 'value') ?? '');
      }
      return this.open(new URL(attribute(tag, 'action'), page.url), form);
    }
    throw new Error(`there is no button ${name} on ${page.status} ${page.url}: ${page.html}`);
  }

  async #ask(url, body) {
    const jar = this.#jars.get(url.host) ?? new Map();
    this.#jars.set(url.host, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, {
      method: body ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { ...cookie && { cookie }, ...body && { origin: url.origin } },
      body,
    });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      if (/max-age=0/i.test(set)) jar.delete(name);
      else jar.set(name, value);
    }
    return answer;
  }
}
