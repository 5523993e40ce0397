// Has the browser make or use a passkey, and sends what comes of it with the form that was pressed.
'use strict';

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const named = (list) => list.map((one) => ({ ...one, id: bytes(one.id) }));

async function make(options) {
  const { rawId, response } = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: named(options.excludeCredentials),
    },
  });
  return {
    id: text(rawId),
    client: text(response.clientDataJSON),
    authenticator: text(response.getAuthenticatorData()),
  };
}

async function use(options) {
  const { rawId, response } = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: named(options.allowCredentials),
    },
  });
  return {
    id: text(rawId),
    client: text(response.clientDataJSON),
    authenticator: text(response.authenticatorData),
    signature: text(response.signature),
    owner: response.userHandle && text(response.userHandle),
  };
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const options = JSON.parse(form.dataset.passkey);
  form.hidden = !window.PublicKeyCredential;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const said = form.querySelector('[role=status]');
    said.textContent = '';
    try {
      const answer = await (options.user ? make(options) : use(options));
      form.elements.answer.value = JSON.stringify(answer);
      form.submit();
    } catch {
      said.textContent = 'The browser has no passkey for this, or was told not to use one.';
    }
  });
}
