// A user's browser that says yes: it follows the gateway's link, and every redirect after it.
const MAX_HOPS = 5;

/** Opens `link`, goes on from its page, and ends at the page that says what became of it. */
export async function follow(link) {
  const { origin } = new URL(link);
  let cookie;
  const get = async (url) => {
    const own = url.origin === origin && cookie !== undefined;
    const answer = await fetch(url, { redirect: 'manual', headers: own ? { cookie } : {} });
    cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? cookie;
    return answer;
  };

  const page = await get(new URL(link));
  const on = /href="([^"]+\/go)"/.exec(await page.text());
  if (!on) throw new Error(`the page of the link says ${page.status} and leads nowhere`);
  let [url, answer] = [new URL(on[1], link), undefined];
  for (let hops = 0; hops < MAX_HOPS; hops += 1) {
    answer = await get(url);
    const next = answer.headers.get('location');
    if (next === null) break;
    url = new URL(next, url);
  }
  if (!answer.ok || url.origin !== origin) throw new Error(`nobody is signed in: ${answer.status} at ${url.origin}`);
}
