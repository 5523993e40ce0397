// The server of `sdk-v2.mjs` without sessions only: the SDK refuses every handshake.
process.argv.push('--only', 'modern');
await import('./sdk-v2.mjs');
